"""Generates the stubs of berth.v1 when the package is built: they are never committed."""

import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
PROTO = HERE / "proto"


class BuildWithStubs(build_py):
    def run(self) -> None:
        super().run()
        out = Path(self.build_lib)
        sources = sorted(str(path) for path in PROTO.glob("berth/v1/*.proto"))
        if not sources:
            raise SystemExit(f"no protos in {PROTO}")
        outputs = [f"--{kind}={out}" for kind in ("python_out", "pyi_out", "grpc_python_out")]
        protoc = [sys.executable, "-m", "grpc_tools.protoc"]
        subprocess.run([*protoc, f"-I{PROTO}", *outputs, *sources], check=True)
        (out / "berth" / "v1" / "__init__.py").touch()


setup(cmdclass={"build_py": BuildWithStubs})
