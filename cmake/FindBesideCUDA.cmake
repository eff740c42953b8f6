# For libraries that come with a CUDA toolkit or lie elsewhere: the body of a find module. NAME_ROOT and CMAKE_PREFIX_PATH
# are looked at first, then what modules of clusters set in the environment (NAME_HOME, NAME_DIR, and what compilers
# read), the hints that follow, and the toolkit. Makes the target NAME::LIBRARY.
macro(find_beside_cuda name header library)
  find_path(${name}_INCLUDE_DIR ${header}
            HINTS ENV ${name}_HOME ENV ${name}_DIR ENV CPATH ${ARGN} ${CUDAToolkit_INCLUDE_DIRS} PATH_SUFFIXES include)
  find_library(${name}_LIBRARY ${library}
               HINTS ENV ${name}_HOME ENV ${name}_DIR ENV LIBRARY_PATH ${ARGN} ${CUDAToolkit_LIBRARY_DIR}
               PATH_SUFFIXES lib lib64)
  include(FindPackageHandleStandardArgs)
  find_package_handle_standard_args(${name} REQUIRED_VARS ${name}_LIBRARY ${name}_INCLUDE_DIR)
  if(${name}_FOUND AND NOT TARGET ${name}::${library})
    add_library(${name}::${library} UNKNOWN IMPORTED)
    set_target_properties(${name}::${library} PROPERTIES IMPORTED_LOCATION ${${name}_LIBRARY}
                          INTERFACE_INCLUDE_DIRECTORIES ${${name}_INCLUDE_DIR})
  endif()
  mark_as_advanced(${name}_INCLUDE_DIR ${name}_LIBRARY)
endmacro()
