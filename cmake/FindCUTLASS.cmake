# CUTLASS 4 (headers alone): target CUTLASS::cutlass. Looked for where scripts/install-cutlass.sh puts it, and where
# CUTLASS_ROOT or CMAKE_PREFIX_PATH point.
find_path(CUTLASS_INCLUDE_DIR cutlass/epilogue/fusion/sm90_visitor_load_tma_warpspecialized.hpp
          HINTS ${CMAKE_SOURCE_DIR}/.cache/cutlass/include ${CUDAToolkit_INCLUDE_DIRS})
if(CUTLASS_INCLUDE_DIR)
  file(STRINGS ${CUTLASS_INCLUDE_DIR}/cutlass/version.h cutlass_lines REGEX "#define CUTLASS_(MAJOR|MINOR|PATCH) +[0-9]+")
  string(REGEX REPLACE "[^0-9]+" "." CUTLASS_VERSION "${cutlass_lines}")
  string(REGEX REPLACE "^\\.|\\.$" "" CUTLASS_VERSION "${CUTLASS_VERSION}")
endif()
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(CUTLASS REQUIRED_VARS CUTLASS_INCLUDE_DIR VERSION_VAR CUTLASS_VERSION)
if(CUTLASS_FOUND AND NOT TARGET CUTLASS::cutlass)
  add_library(CUTLASS::cutlass INTERFACE IMPORTED)
  set_target_properties(CUTLASS::cutlass PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${CUTLASS_INCLUDE_DIR})
endif()
mark_as_advanced(CUTLASS_INCLUDE_DIR)
