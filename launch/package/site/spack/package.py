"""A Spack recipe: put this directory as packages/metaloop into a repository of your own (spack repo create)."""
from spack.package import *


class Metaloop(MakefilePackage):
    """Exact, distributed meta-learning and transfer learning: second-order MAML, ADDA and related methods over MPI."""

    homepage = "https://example.org/metaloop"
    git = "https://example.org/metaloop.git"
    license("MIT")

    version("main", branch="main")

    variant("arch", default="x86-64-v3", description="-march of all programs: one that every host has", values=str)

    depends_on("c", type="build")
    depends_on("gmake", type="build")
    depends_on("pkgconfig", type="build")
    depends_on("protobuf-c")
    depends_on("help2man", type="build")
    depends_on("random123", type="build")
    depends_on("stb", type="build")
    depends_on("openmpi@4.1")
    depends_on("openblas threads=pthreads")
    depends_on("confuse")
    depends_on("jansson")
    depends_on("libarchive")
    depends_on("libpng")
    depends_on("libcsv")
    depends_on("libjpeg-turbo")
    depends_on("zlib-api")
    depends_on("xxhash")
    depends_on("libzmq")
    depends_on("ncurses")
    depends_on("libmicrohttpd")
    depends_on("cairo")

    def flags(self):
        return [f"ARCH={self.spec.variants['arch'].value}", "CC=" + spack_cc]

    def build(self, spec, prefix):
        make("all", *self.flags())

    def install(self, spec, prefix):
        make("install", f"PREFIX={prefix}", *self.flags())
