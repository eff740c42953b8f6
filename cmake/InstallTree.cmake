# `cmake --install` makes a tree that runs wherever it is copied to: programs find their libraries through $ORIGIN, and
# with COLA_BUNDLE_LIBRARIES the libraries that are not part of every Linux system lie in lib/cola_dist, Open MPI's own
# parts included. CUDA's libraries stay out: they come with the machine (scripts/environment.sh of the tree finds them).
option(COLA_BUNDLE_LIBRARIES "Install the libraries that the programs need beside them; off where a package manager or a site's own MPI provides them" ON)
# Half of a tree would be oneDNN, which a rank on a GPU never loads.
set(onednn_default ON)
if(COLA_WITH_CUDA)
  set(onednn_default OFF)
endif()
option(COLA_BUNDLE_ONEDNN "Install oneDNN too, for models on the CPU" ${onednn_default})

set(COLA_DATA_DIR share/cola_dist)
set(COLA_LIBRARY_DIR lib/cola_dist)
# After the tree's own folder, programs look where the build found their libraries; bundling drops these places.
set(CMAKE_INSTALL_RPATH "$ORIGIN/../${COLA_LIBRARY_DIR}")
set(CMAKE_INSTALL_RPATH_USE_LINK_PATH ON)
# The old kind of run path also holds for what the bundled libraries load.
add_link_options(-Wl,--disable-new-dtags -Wl,--as-needed)

# Before every other rule of installing.
if(COLA_BUNDLE_LIBRARIES)
  install(CODE "set(mpiexec \"${MPIEXEC_EXECUTABLE}\")")
  install(SCRIPT cmake/PrepareBundle.cmake)
endif()

# After every other one.
function(bundle_libraries)
  include(NoRemoteFiles)
  add_no_remote_files()
  set(no_remote_files)
  if(TARGET no_remote_files)
    set(no_remote_files $<TARGET_FILE:no_remote_files>)
  endif()
  install(CODE "set(built \"${CMAKE_BINARY_DIR}\")
                set(onednn ${COLA_BUNDLE_ONEDNN})
                set(no_remote_files \"${no_remote_files}\")")
  install(SCRIPT cmake/BundleLibraries.cmake)
endfunction()

function(install_tree)
  # The component cola_dist is what users of a cluster need where the site provides the libraries. Everything lies as it
  # does in the source, so that the documentation's links lead somewhere.
  install(DIRECTORY configs docs jobs DESTINATION ${COLA_DATA_DIR} USE_SOURCE_PERMISSIONS COMPONENT cola_dist)
  install(FILES README.md CONTRIBUTING.md LICENSE spack.yaml DESTINATION ${COLA_DATA_DIR} COMPONENT cola_dist)
  install(DIRECTORY packaging/apptainer packaging/spack DESTINATION ${COLA_DATA_DIR}/packaging COMPONENT cola_dist
          PATTERN __pycache__ EXCLUDE)
  install(FILES tests/cuda_emulation/README.md DESTINATION ${COLA_DATA_DIR}/tests/cuda_emulation COMPONENT cola_dist)
  install(PROGRAMS scripts/plot_metrics.py DESTINATION ${COLA_DATA_DIR}/scripts COMPONENT cola_dist)
  install(FILES packaging/modules/cola_dist DESTINATION ${COLA_DATA_DIR}/modulefiles/cola_dist
          RENAME ${PROJECT_VERSION} COMPONENT cola_dist)
  install(PROGRAMS scripts/gpu-check.sh DESTINATION ${COLA_DATA_DIR}/scripts)
  install(FILES scripts/environment.sh scripts/common.sh DESTINATION ${COLA_DATA_DIR}/scripts)
  if(COLA_BUILD_TESTS AND COLA_WITH_CUDA)  # what gpu-check.sh runs
    install(DIRECTORY tests/golden DESTINATION ${COLA_DATA_DIR}/tests FILES_MATCHING PATTERN "*.h5")
    install(FILES tests/apps/harness.py tests/apps/training_gpu_test.py DESTINATION libexec/cola_dist/tests)
  endif()
  if(COLA_BUNDLE_LIBRARIES)
    bundle_libraries()
  endif()
endfunction()
