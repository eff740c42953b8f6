-- Environment module for an installed cola_dist (Lmod). It finds the prefix from its own place,
-- PREFIX/share/cola_dist/modulefiles/cola_dist/VERSION.lua, so that nothing needs to be edited:
--
--   module use PREFIX/share/cola_dist/modulefiles
--   module load cola_dist
--   sbatch $COLA_JOBS/slurm/generic.sbatch $COLA_CONFIGS/1b.yaml
whatis("Name: cola_dist")
whatis("Version: " .. myModuleVersion())
whatis("Description: distributed pretraining of CoLA language models")
help([[Programs: cola_dist, cola_data, cola_ckpt, cola_generate, cola_bench; each has --help.
COLA_JOBS holds job scripts, COLA_CONFIGS configurations.]])

local prefix = myFileName():match("^(.*)/share/cola_dist/modulefiles/")
local share = pathJoin(prefix, "share/cola_dist")

-- depends_on("openmpi", "hdf5")   -- the modules that cola_dist was built with

prepend_path("PATH", pathJoin(prefix, "bin"))
setenv("COLA_CONFIGS", pathJoin(share, "configs"))
setenv("COLA_JOBS", pathJoin(share, "jobs"))
setenv("COLA_PROGRAMS", pathJoin(prefix, "bin"))
setenv("COLA_DIST", pathJoin(prefix, "bin/cola_dist"))
setenv("COLA_DATA", pathJoin(prefix, "bin/cola_data"))
