"""Official networks that no package carries, and where their projects publish them."""

from dataclasses import dataclass

GFPGAN_RELEASES = "https://github.com/TencentARC/GFPGAN/releases/download"
RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint of the Real-ESRGAN project, or of GFPGAN's.

    Attributes:
        name: Under which it is installed.
        url: Of the release file.
        sha256: Of the file; empty where no hash is known for certain, and the user must give one.
        twin: Name of the weakly denoising network for `denoise=`, pulled with it.
        max_bytes: The file is not longer; a download that is gets refused.
        scale: Output pixels per input pixel.
        made_for: The kind of pictures it is for.
        restores_faces: It takes aligned faces, not pictures.
        licence: SPDX identifier.
        notice: What else its terms say, for who installs it; empty: nothing.
    """

    name: str
    url: str
    sha256: str = ""
    twin: str = ""
    max_bytes: int = 100_000_000
    scale: int = 4
    made_for: str = ""
    restores_faces: bool = False
    licence: str = "BSD-3-Clause"
    notice: str = ""


# Upstream publishes no hashes. Those here, and the sizes, are the ones that many independent
# projects record for the release files; RealESRNet_x4plus has no hash that could be confirmed.
PUBLISHED = (
    Published(
        "realesrgan-x2plus",
        f"{RELEASES}/v0.2.1/RealESRGAN_x2plus.pth",
        "49fafd45f8fd7aa8d31ab2a22d14d91b536c34494a5cfe31eb5d89c2fa266abb",
        max_bytes=67_061_725,
        scale=2,
        made_for="photos",
    ),
    Published(
        "realesrnet-x4plus",
        f"{RELEASES}/v0.1.1/RealESRNet_x4plus.pth",
        max_bytes=67_040_989,
        made_for="photos; smoother, less detail",
    ),
    Published(
        "realesr-general-x4v3",
        f"{RELEASES}/v0.2.5.0/realesr-general-x4v3.pth",
        "8dc7edb9ac80ccdc30c3a5dca6616509367f05fbc184ad95b731f05bece96292",
        twin="realesr-general-wdn-x4v3",
        max_bytes=4_885_111,
        made_for="photos; fast, with --denoise",
    ),
    Published(
        "realesr-general-wdn-x4v3",
        f"{RELEASES}/v0.2.5.0/realesr-general-wdn-x4v3.pth",
        "1641f8c4464b9f097c9fdda5589273713f67cf59f3d909e0bd688f0cee269dca",
        max_bytes=4_885_111,
        made_for="photos; fast, keeps noise",
    ),
    Published(
        "gfpgan-1.4",
        f"{GFPGAN_RELEASES}/v1.3.0/GFPGANv1.4.pth",
        "e2cd4703ab14f4d01fd1383a8a8b266f9a5833dacee8e6a79d3bf21a1b6be5ad",
        max_bytes=348_632_874,
        scale=1,
        made_for="faces, with --faces",
        restores_faces=True,
        licence="Apache-2.0",
        notice=(
            "its code and weights are under Apache-2.0; the generator in it derives from NVIDIA's "
            "StyleGAN2, whose licence allows non-commercial use only: decide for yourself what "
            "that means for your use"
        ),
    ),
)
