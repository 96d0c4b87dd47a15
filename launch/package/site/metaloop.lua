-- metaloop.lua - a module file for Lmod. `make install PREFIX=/apps/metaloop/0.1.0`, then this as
-- modulefiles/metaloop/0.1.0.lua.
help("Exact, distributed meta-learning and transfer learning: metaloop-run -n RANKS train CONFIGURATION")
whatis("Name: metaloop")
whatis("Description: second-order MAML, ADDA and related methods over MPI")
local base = "/apps/metaloop/0.1.0"

-- The MPI and the BLAS that it was built with:
-- depends_on("openmpi/4.1")
-- depends_on("openblas")
prepend_path("PATH", pathJoin(base, "bin"))
prepend_path("MANPATH", pathJoin(base, "share/man"))
prepend_path("XDG_DATA_DIRS", pathJoin(base, "share"))
setenv("OPENBLAS_NUM_THREADS", "1")
