# Warnings, optimization and sanitizers, the same for every target of the project.
if(NOT CMAKE_BUILD_TYPE)
  set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
endif()

add_library(cola_options INTERFACE)
target_compile_options(cola_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wshadow;-Wnon-virtual-dtor>)
if(COLA_SANITIZE)
  target_compile_options(cola_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-fsanitize=${COLA_SANITIZE};-fno-omit-frame-pointer>)
  target_link_options(cola_options INTERFACE -fsanitize=${COLA_SANITIZE})
endif()

find_program(COLA_CCACHE ccache)
if(COLA_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${COLA_CCACHE})
  set(CMAKE_CUDA_COMPILER_LAUNCHER ${COLA_CCACHE})
endif()
