# Runs last in `cmake --install`: copies the libraries that the installed programs load into lib/cola_dist, a folder of
# this project alone, and touches nothing in the prefix that it did not install. Reads built (the folder of the programs
# and parts as they were built), onednn (whether oneDNN belongs to the tree), no_remote_files (the library of that name,
# if there is one), and what PrepareBundle.cmake found.
set(prefix "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}")
set(destination ${CMAKE_INSTALL_PREFIX}/lib/cola_dist)  # file(INSTALL) puts DESTDIR before it
set(bundle ${prefix}/lib/cola_dist)

set(installed_programs)
set(built_programs)
foreach(path ${CMAKE_INSTALL_MANIFEST_FILES})
  file(RELATIVE_PATH name ${CMAKE_INSTALL_PREFIX} ${path})
  if(name MATCHES "^(bin|libexec/cola_dist/tests)/([^/.]+)$")
    list(APPEND installed_programs ${prefix}/${name})
    list(APPEND built_programs ${built}/bin/${CMAKE_MATCH_2})
  endif()
endforeach()
set(loaded_parts)
if(onednn)
  list(APPEND loaded_parts ${built}/lib/libcola_onednn.so)
endif()

# Open MPI loads its transports and launchers by name, so no program's list of libraries holds them. Left out are those
# for networks whose libraries only a site can provide (a tree for such a site is built there), and those for what no
# program here does: one-sided communication, files, process topologies.
file(REMOVE_RECURSE ${bundle}/openmpi ${bundle}/prte ${bundle}/pmix)
if(launchers)
  execute_process(COMMAND ${mpi_programs}/ompi_info --path pkglibdir --path pkgdatadir --parsable
                  OUTPUT_VARIABLE answer COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "pkglibdir:([^\n]+)" found "${answer}")
  file(GLOB components ${CMAKE_MATCH_1}/mca_*.so)
  list(FILTER components EXCLUDE REGEX
       "_(ucx|ofi|openib|psm2?|flux|cm|monitoring|romio[0-9]*|gridengine|simulator|treematch|netlink)\\.so$")
  list(FILTER components EXCLUDE REGEX
       "mca_(memheap|scoll|spml|sshmem|atomic|crs|vprotocol|osc|io|fs|fbtl|fcoll|sharedfp)_|mca_(coll|btl)_sm\\.so$")
  string(REGEX MATCH "pkgdatadir:([^\n]+)" found "${answer}")
  file(GLOB messages ${CMAKE_MATCH_1}/help-*.txt)
  file(INSTALL ${components} ${messages} DESTINATION ${destination}/openmpi FOLLOW_SYMLINK_CHAIN)
  list(APPEND loaded_parts ${components})
endif()
if(launchers MATCHES prterun)  # its messages, without which even --help fails
  execute_process(COMMAND ${mpi_programs}/prte_info --path pkgdatadir OUTPUT_VARIABLE answer COMMAND_ERROR_IS_FATAL ANY)
  string(REGEX MATCH "Pkgdatadir: *([^\n]+)" found "${answer}")
  file(GLOB messages ${CMAKE_MATCH_1}/help-*.txt)
  file(INSTALL ${messages} DESTINATION ${destination}/prte)
endif()
foreach(launcher ${launchers})
  get_filename_component(program ${${launcher}} REALPATH)
  file(INSTALL ${program} DESTINATION ${CMAKE_INSTALL_PREFIX}/bin USE_SOURCE_PERMISSIONS RENAME ${launcher})
  execute_process(COMMAND ${patchelf} --force-rpath --set-rpath ${launcher_run_path} ${prefix}/bin/${launcher}
                  COMMAND_ERROR_IS_FATAL ANY)
  list(APPEND built_programs ${program})
endforeach()

# A distribution's C library belongs to its kernel and loader, CUDA's libraries to the driver. What HDF5 would read
# remote files with is replaced below.
set(left_out "^lib(c|m|dl|rt|pthread|resolv|util)\\.so" "^ld-linux"
             "^lib(cuda|cublas|cublasLt|cudart|cudnn|nccl|nvidia)[^/]*\\.so")
if(no_remote_files)
  list(APPEND left_out "^lib(curl|crypto)\\.so")
endif()
file(GET_RUNTIME_DEPENDENCIES EXECUTABLES ${built_programs} MODULES ${loaded_parts}
     RESOLVED_DEPENDENCIES_VAR libraries UNRESOLVED_DEPENDENCIES_VAR missing PRE_EXCLUDE_REGEXES ${left_out})
if(missing)
  message(WARNING "not found, and not bundled: ${missing}")
endif()
foreach(library ${libraries})
  file(INSTALL ${library} DESTINATION ${destination} FOLLOW_SYMLINK_CHAIN)
endforeach()

# PMIx, which Open MPI's launcher speaks, has parts and messages of its own.
list(FILTER libraries INCLUDE REGEX "/libpmix\\.so")
foreach(library ${libraries})
  get_filename_component(library ${library} REALPATH)
  get_filename_component(folder ${library} DIRECTORY)
  file(GLOB parts ${folder}/pmix/*mca_*.so)
  file(INSTALL ${parts} DESTINATION ${destination}/pmix FOLLOW_SYMLINK_CHAIN)
  if(launchers MATCHES prterun)
    file(GLOB messages ${folder}/../share/pmix/help-*.txt)
    file(INSTALL ${messages} DESTINATION ${destination}/prte/pmix)
  endif()
endforeach()

# Run paths to where libraries were on this machine would be looked through on another one: a library's own before the
# program's, and behind the tree's folder, a program's.
file(GLOB_RECURSE bundled ${bundle}/*.so*)
foreach(library ${bundled})
  if(NOT IS_SYMLINK ${library})
    file(RPATH_REMOVE FILE ${library})
  endif()
endforeach()
set(run_paths)
foreach(program ${installed_programs})
  execute_process(COMMAND ${patchelf} --print-rpath ${program} OUTPUT_VARIABLE found COMMAND_ERROR_IS_FATAL ANY
                  OUTPUT_STRIP_TRAILING_WHITESPACE)
  string(REGEX MATCH "^[^:]*" own "${found}")
  file(RPATH_CHANGE FILE ${program} OLD_RPATH "${found}" NEW_RPATH "${own}")
  set(run_paths "${found}")
endforeach()

# See NoRemoteFiles.cmake.
if(no_remote_files)
  file(INSTALL ${no_remote_files} DESTINATION ${destination})
  file(GLOB hdf5 ${bundle}/libhdf5*.so.*)
  foreach(library ${hdf5})
    execute_process(COMMAND ${patchelf} --print-needed ${library} OUTPUT_VARIABLE needed COMMAND_ERROR_IS_FATAL ANY)
    string(REGEX MATCHALL "lib(curl|crypto)\\.so[.0-9]*" needed "${needed}")
    foreach(remote ${needed})
      execute_process(COMMAND ${patchelf} --replace-needed ${remote} libno_remote_files.so ${library} COMMAND_ERROR_IS_FATAL ANY)
    endforeach()
  endforeach()
endif()

# Every program of the tree must start, every function that its libraries ask of each other found. What stays out of the
# tree is looked for where the build found it.
list(FILTER installed_programs INCLUDE REGEX "/bin/[^/]+$")
list(FILTER launchers INCLUDE REGEX mpirun)
list(TRANSFORM launchers PREPEND ${prefix}/bin/)
foreach(program ${installed_programs} ${launchers})
  execute_process(COMMAND ${CMAKE_COMMAND} -E env LD_BIND_NOW=1 "LD_LIBRARY_PATH=${run_paths}:$ENV{LD_LIBRARY_PATH}" ${program} --version
                  OUTPUT_QUIET ERROR_VARIABLE error ERROR_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE status)
  if(status)
    message(FATAL_ERROR "${program} does not start in the tree: ${error}")
  endif()
endforeach()

list(REMOVE_DUPLICATES CMAKE_INSTALL_MANIFEST_FILES)
set(bytes 0)
foreach(path ${CMAKE_INSTALL_MANIFEST_FILES})
  if(NOT IS_SYMLINK $ENV{DESTDIR}${path})
    file(SIZE $ENV{DESTDIR}${path} size)
    math(EXPR bytes "${bytes} + ${size}")
  endif()
endforeach()
math(EXPR megabytes "${bytes} / 1000000")
message(STATUS "The tree in ${prefix} holds ${megabytes} MB")
