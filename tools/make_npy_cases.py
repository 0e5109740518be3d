"""Writes tests/data/*.npy and *.npz: small files made by NumPy and Python's zipfile, which tests/test_npy.cpp and
tests/test_npz.cpp must read.

    python3 -m venv numpy-venv && numpy-venv/bin/pip install numpy==2.4.6     # anywhere outside the repository
    numpy-venv/bin/python tools/make_npy_cases.py

types.npz     every type in both byte orders; the member "<f4" holds the type "<f4", and so on
shapes.npz    shapes with zeros, no axes, Fortran order, a view
version2.npy, version3.npy   the later versions of the header
zip64.npz     sizes and offsets in zip64 records, as in files above 4 GiB
streamed.npz  written to a pipe: sizes in data descriptors behind the members
"""

import io
import zipfile
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "data"

FLOATS = [[-1.5, 0.0, np.inf], [65504.0, 2.0**-24, np.nan]]
SIGNED = [[-128, -1, 0], [1, 100, 127]]
UNSIGNED = [[0, 1, 2], [100, 128, 255]]
BOOLS = [[True, False, True], [False, False, True]]


def types():
    arrays = {"|b1": np.array(BOOLS), "|i1": np.array(SIGNED, "i1"), "|u1": np.array(UNSIGNED, "u1")}
    for order in "<>":
        for size in "248":
            arrays[f"{order}f{size}"] = np.array(FLOATS, f"{order}f{size}")
            arrays[f"{order}i{size}"] = np.array(SIGNED, f"{order}i{size}")
            arrays[f"{order}u{size}"] = np.array(UNSIGNED, f"{order}u{size}")
    return arrays


def shapes():
    counting = np.arange(24, dtype="f4").reshape(2, 3, 4)
    return {
        "none": np.array(7.5, "f4"),
        "zero": np.zeros(0, "f4"),
        "zero_inside": np.zeros((3, 0, 5), "f4"),
        "fortran": np.asfortranarray(counting),
        "fortran_matrix": np.asfortranarray(counting[0]),
        "view": counting[:, ::-1, 1:3],
        "layers/lstm/kernel": counting,
    }


class Pipe(io.RawIOBase):
    """What cannot go back to fill in a size."""

    def __init__(self):
        self.bytes = b""

    def writable(self):
        return True

    def write(self, data):
        self.bytes += bytes(data)
        return len(data)


def zipped(target, zip64):
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ["a", "b"]:
            member = zipfile.ZipInfo(f"{name}.npy")  # 1 January 1980
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w", force_zip64=zip64) as file:
                np.lib.format.write_array(file, np.full((2, 3), ord(name), "f4"))


def main():
    FOLDER.mkdir(exist_ok=True)
    np.savez_compressed(FOLDER / "types.npz", **types())
    np.savez_compressed(FOLDER / "shapes.npz", **shapes())
    for version in (2, 3):
        with open(FOLDER / f"version{version}.npy", "wb") as file:
            np.lib.format.write_array(file, np.arange(6, dtype="f8").reshape(2, 3), version=(version, 0))

    pipe = Pipe()
    zipped(pipe, zip64=False)
    (FOLDER / "streamed.npz").write_bytes(pipe.bytes)
    zipfile.ZIP64_LIMIT = 8
    zipped(FOLDER / "zip64.npz", zip64=True)


if __name__ == "__main__":
    main()
