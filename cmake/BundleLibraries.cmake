# Runs inside `cmake --install`: copies the libraries that the installed programs load into lib/. Reads mpiexec, onednn
# (whether oneDNN belongs to the tree) and no_remote_files (the library of that name).
set(prefix "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
file(GLOB programs ${prefix}/bin/* ${prefix}/libexec/cola_dist/tests/*_tests)
set(loaded_parts)
if(onednn)
  list(APPEND loaded_parts ${prefix}/lib/libcola_onednn.so)
endif()
find_program(patchelf patchelf REQUIRED)

# Open MPI loads its transports and launchers by name, so no program's list of libraries holds them. Left out are those
# for networks whose libraries only a site can provide (a tree for such a site is built there), and those for what no
# program here does: one-sided communication, files, process topologies.
execute_process(COMMAND ompi_info --path pkglibdir --path pkgdatadir --parsable OUTPUT_VARIABLE answer ERROR_QUIET)
if(answer MATCHES "pkglibdir:([^\n]+)")
  file(GLOB components ${CMAKE_MATCH_1}/mca_*.so)
  list(FILTER components EXCLUDE REGEX
       "_(ucx|ofi|openib|psm2?|flux|cm|monitoring|romio[0-9]*|gridengine|simulator|treematch|netlink)\\.so$")
  list(FILTER components EXCLUDE REGEX
       "mca_(memheap|scoll|spml|sshmem|atomic|crs|vprotocol|osc|io|fs|fbtl|fcoll|sharedfp)_|mca_(coll|btl)_sm\\.so$")
  file(INSTALL ${components} DESTINATION ${prefix}/lib/openmpi FOLLOW_SYMLINK_CHAIN)
  list(APPEND loaded_parts ${components})
  if(answer MATCHES "pkgdatadir:([^\n]+)")
    file(GLOB messages ${CMAKE_MATCH_1}/help-*.txt)
    file(INSTALL ${messages} DESTINATION ${prefix}/share/openmpi)
  endif()
  get_filename_component(launcher ${mpiexec} REALPATH)
  file(INSTALL ${launcher} DESTINATION ${prefix}/bin USE_SOURCE_PERMISSIONS RENAME mpirun)
  execute_process(COMMAND ${patchelf} --force-rpath --set-rpath "$ORIGIN/../lib" ${prefix}/bin/mpirun COMMAND_ERROR_IS_FATAL ANY)
  list(APPEND programs ${launcher})
endif()

# A distribution's C library belongs to its kernel and loader, CUDA's libraries to the driver. What HDF5 would read
# remote files with is replaced below.
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${programs} MODULES ${loaded_parts}
     RESOLVED_DEPENDENCIES_VAR libraries UNRESOLVED_DEPENDENCIES_VAR missing
     PRE_EXCLUDE_REGEXES "^lib(c|m|dl|rt|pthread|resolv|util)\\.so" "^ld-linux" "^lib(curl|crypto)\\.so"
                         "^lib(cuda|cublas|cublasLt|cudart|cudnn|nccl|nvidia)[^/]*\\.so")
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
  file(GLOB parts ${folder}/pmix/*mca_*.so)
  file(INSTALL ${parts} DESTINATION ${prefix}/lib/pmix FOLLOW_SYMLINK_CHAIN)
endforeach()

# A library's own run path, to where it was, would be looked through before the program's.
file(GLOB_RECURSE bundled ${prefix}/lib/*.so*)
foreach(library ${bundled})
  if(NOT IS_SYMLINK ${library})
    file(RPATH_REMOVE FILE ${library})
  endif()
endforeach()

# See no_remote_files.c.
file(GLOB hdf5 ${prefix}/lib/libhdf5*.so.*)
foreach(library ${hdf5})
  execute_process(COMMAND ${patchelf} --print-needed ${library} OUTPUT_VARIABLE needed COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCHALL "lib(curl|crypto)\\.so[.0-9]*" needed "${needed}")
  foreach(remote ${needed})
    file(INSTALL ${no_remote_files} DESTINATION ${prefix}/lib)
    execute_process(COMMAND ${patchelf} --replace-needed ${remote} libno_remote_files.so ${library} COMMAND_ERROR_IS_FATAL ANY)
  endforeach()
endforeach()

# Every program of the tree must start.
file(GLOB programs ${prefix}/bin/*)
foreach(program ${programs})
  execute_process(COMMAND ${program} --version OUTPUT_QUIET ERROR_VARIABLE error RESULT_VARIABLE status)
  if(status)
    message(WARNING "does not start: ${error}")
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
