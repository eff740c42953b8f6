# Runs inside `cmake --install`: copies the libraries that the installed programs load into lib/. Reads mpiexec.
set(prefix "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
file(GLOB programs ${prefix}/bin/* ${prefix}/libexec/cola_dist/tests/*_tests)

# Open MPI loads its transports and launchers by name, so no program's list of libraries holds them. Left out are those
# for networks whose libraries only a site can provide: a tree for such a site is built there.
execute_process(COMMAND ompi_info --path pkglibdir --parsable OUTPUT_VARIABLE answer ERROR_QUIET)
if(answer MATCHES "pkglibdir:([^\n]+)")
  file(GLOB components ${CMAKE_MATCH_1}/mca_*.so)
  list(FILTER components EXCLUDE REGEX
       "_(ucx|ofi|openib|psm2?|flux|cm|monitoring|romio[0-9]*|gridengine|simulator)\\.so$|mca_(memheap|scoll|spml|sshmem|crs|vprotocol)_")
  file(INSTALL ${components} DESTINATION ${prefix}/lib/openmpi FOLLOW_SYMLINK_CHAIN)
  get_filename_component(launcher ${mpiexec} REALPATH)
  file(INSTALL ${launcher} DESTINATION ${prefix}/bin USE_SOURCE_PERMISSIONS RENAME mpirun)
  list(APPEND programs ${prefix}/bin/mpirun)
endif()

# A distribution's C library belongs to its kernel and loader, CUDA's libraries to the driver.
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${programs} MODULES ${components}
     RESOLVED_DEPENDENCIES_VAR libraries UNRESOLVED_DEPENDENCIES_VAR missing
     PRE_EXCLUDE_REGEXES "^lib(c|m|dl|rt|pthread|resolv|util)\\.so" "^ld-linux" "^lib(cuda|cublas|cublasLt|cudart|cudnn|nccl|nvidia)[^/]*\\.so")
if(missing)
  message(WARNING "not found, and not bundled: ${missing}")
endif()
foreach(library ${libraries})
  file(INSTALL ${library} DESTINATION ${prefix}/lib FOLLOW_SYMLINK_CHAIN)
endforeach()

# PMIx, which Open MPI's launcher speaks, has parts of its own.
list(FILTER libraries INCLUDE REGEX "/libpmix\\.so")
foreach(library ${libraries})
  get_filename_component(library ${library} REALPATH)
  get_filename_component(folder ${library} DIRECTORY)
  file(GLOB parts ${folder}/pmix/mca_*.so)
  file(INSTALL ${parts} DESTINATION ${prefix}/lib/pmix FOLLOW_SYMLINK_CHAIN)
endforeach()

# A library's own run path, to where it was, would be looked through before the program's.
file(GLOB_RECURSE bundled ${prefix}/lib/*.so*)
foreach(library ${bundled})
  if(NOT IS_SYMLINK ${library})
    file(RPATH_REMOVE FILE ${library})
  endif()
endforeach()

file(GLOB_RECURSE installed ${prefix}/*)
set(bytes 0)
foreach(path ${installed})
  if(NOT IS_SYMLINK ${path})
    file(SIZE ${path} size)
    math(EXPR bytes "${bytes} + ${size}")
  endif()
endforeach()
math(EXPR megabytes "${bytes} / 1000000")
message(STATUS "The tree in ${prefix} holds ${megabytes} MB")
