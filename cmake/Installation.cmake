# What a user of an installed cola_dist finds besides the programs, which install themselves (src/apps):
# PREFIX/share/cola_dist holds configurations, job scripts, the script that draws runs, and an environment module.
include(GNUInstallDirs)
set(COLA_SHARE ${CMAKE_INSTALL_DATADIR}/cola_dist)
install(DIRECTORY configs jobs DESTINATION ${COLA_SHARE} USE_SOURCE_PERMISSIONS COMPONENT cola_dist)
install(PROGRAMS scripts/plot_metrics.py DESTINATION ${COLA_SHARE}/scripts COMPONENT cola_dist)
install(FILES packaging/modules/cola_dist.lua DESTINATION ${COLA_SHARE}/modulefiles/cola_dist
        RENAME ${PROJECT_VERSION}.lua COMPONENT cola_dist)
install(DIRECTORY docs/ DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT cola_dist)
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR} COMPONENT cola_dist)
