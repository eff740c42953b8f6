# Runs first in `cmake --install`, before any file is there: finds what BundleLibraries.cmake needs, or says what is in
# its way. Reads mpiexec.
find_program(patchelf patchelf)
if(NOT patchelf)
  message(FATAL_ERROR "patchelf is missing, which makes libraries part of the tree: install it, or configure with -DCOLA_BUNDLE_LIBRARIES=OFF")
endif()

# Open MPI's launcher goes with its libraries, and so do the programs that it starts: orted on other machines (of Open
# MPI 4), prterun in its own place and prted on other machines (5). Another MPI's stays out: the site's own starts the
# ranks then.
set(launchers)
set(mpirun ${mpiexec})
get_filename_component(mpi_programs ${mpiexec} DIRECTORY)
execute_process(COMMAND ${mpiexec} --version OUTPUT_VARIABLE answer ERROR_QUIET)
if(answer MATCHES "Open MPI|OpenRTE")
  list(APPEND launchers mpirun)
  foreach(launcher orted prterun prted)
    set(${launcher} ${mpi_programs}/${launcher})
    if(EXISTS ${${launcher}})
      list(APPEND launchers ${launcher})
    endif()
  endforeach()
endif()

# In a prefix that holds another MPI, programs would meet a launcher that is not the one of their libraries.
set(launcher_run_path "$ORIGIN/../lib/cola_dist")
foreach(launcher ${launchers})
  set(path "$ENV{DESTDIR}${CMAKE_INSTALL_PREFIX}/bin/${launcher}")
  if(EXISTS ${path} OR IS_SYMLINK ${path})
    execute_process(COMMAND ${patchelf} --print-rpath ${path} OUTPUT_VARIABLE found ERROR_QUIET OUTPUT_STRIP_TRAILING_WHITESPACE)
    if(NOT found STREQUAL launcher_run_path)
      message(FATAL_ERROR "${path} belongs to another MPI: install into a folder of its own, or configure with -DCOLA_BUNDLE_LIBRARIES=OFF")
    endif()
  endif()
endforeach()
