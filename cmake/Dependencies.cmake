# Every library the project stands on. Each is found here and nowhere else; the scripts install the same list.
find_package(Threads REQUIRED)
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(MPI REQUIRED COMPONENTS CXX)
find_package(HDF5 REQUIRED COMPONENTS C)
find_package(yaml-cpp REQUIRED)
find_package(Boost 1.74 REQUIRED COMPONENTS program_options iostreams)
find_package(dnnl REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(xxhash REQUIRED IMPORTED_TARGET libxxhash)
pkg_check_modules(sentencepiece REQUIRED IMPORTED_TARGET sentencepiece)

# Older yaml-cpp packages export the plain name, newer ones a namespaced target.
if(NOT TARGET yaml-cpp::yaml-cpp)
  add_library(yaml-cpp::yaml-cpp ALIAS yaml-cpp)
endif()

# Debian ships a serial and a parallel HDF5 side by side; the serial one is wanted (it is thread-safe).
add_library(cola_hdf5 INTERFACE)
target_include_directories(cola_hdf5 SYSTEM INTERFACE ${HDF5_C_INCLUDE_DIRS})
target_link_libraries(cola_hdf5 INTERFACE ${HDF5_C_LIBRARIES})

if(NOT COLA_CUDA STREQUAL "off")
  find_package(CUDAToolkit QUIET)
endif()

if(COLA_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
find_package(benchmark QUIET)
