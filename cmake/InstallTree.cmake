# `cmake --install` makes a tree that runs wherever it is copied to: programs find their libraries through $ORIGIN, and
# with COLA_BUNDLE_LIBRARIES the libraries that are not part of every Linux system lie beside them, Open MPI's own parts
# included. CUDA's libraries stay out: they come with the machine (scripts/environment.sh of the tree finds them).
option(COLA_BUNDLE_LIBRARIES "Install the libraries that the programs need beside them; off where a package manager or a site's own MPI provides them" ON)
# Half of a tree would be oneDNN, which a rank on a GPU never loads.
set(onednn_default ON)
if(COLA_WITH_CUDA)
  set(onednn_default OFF)
endif()
option(COLA_BUNDLE_ONEDNN "Install oneDNN too, for models on the CPU" ${onednn_default})

set(COLA_DATA_DIR share/cola_dist)
# The old kind of run path also holds for what the bundled libraries load.
add_link_options(-Wl,--disable-new-dtags -Wl,--as-needed)

function(install_tree)
  # The component cola_dist is what users of a cluster need where the site provides the libraries.
  install(DIRECTORY configs jobs DESTINATION ${COLA_DATA_DIR} USE_SOURCE_PERMISSIONS COMPONENT cola_dist)
  install(PROGRAMS scripts/plot_metrics.py DESTINATION ${COLA_DATA_DIR}/scripts COMPONENT cola_dist)
  install(FILES packaging/modules/cola_dist DESTINATION ${COLA_DATA_DIR}/modulefiles/cola_dist
          RENAME ${PROJECT_VERSION} COMPONENT cola_dist)
  install(DIRECTORY docs/ DESTINATION share/doc/cola_dist COMPONENT cola_dist)
  install(FILES README.md LICENSE DESTINATION share/doc/cola_dist COMPONENT cola_dist)
  install(PROGRAMS scripts/gpu-check.sh DESTINATION ${COLA_DATA_DIR}/scripts)
  install(FILES scripts/environment.sh scripts/common.sh DESTINATION ${COLA_DATA_DIR}/scripts)
  if(COLA_BUILD_TESTS AND COLA_WITH_CUDA)  # what gpu-check.sh runs
    install(DIRECTORY tests/golden DESTINATION ${COLA_DATA_DIR}/tests FILES_MATCHING PATTERN "*.h5")
    install(FILES tests/apps/harness.py tests/apps/training_gpu_test.py DESTINATION libexec/cola_dist/tests)
  endif()
  if(COLA_BUNDLE_LIBRARIES)
    add_library(no_remote_files SHARED cmake/no_remote_files.c)
    target_link_options(no_remote_files PRIVATE -Wl,--version-script=${CMAKE_SOURCE_DIR}/cmake/no_remote_files.map)
    install(CODE "set(mpiexec \"${MPIEXEC_EXECUTABLE}\")
                  set(onednn ${COLA_BUNDLE_ONEDNN})
                  set(no_remote_files \"$<TARGET_FILE:no_remote_files>\")")
    install(SCRIPT cmake/BundleLibraries.cmake)
  endif()
endfunction()
