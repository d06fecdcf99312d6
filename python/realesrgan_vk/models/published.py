"""Official networks that no package carries, and where their project publishes them."""

from dataclasses import dataclass

RELEASES = "https://github.com/xinntao/Real-ESRGAN/releases/download"


@dataclass(frozen=True, slots=True)
class Published:
    """A checkpoint of the Real-ESRGAN project.

    Attributes:
        name: Under which it is installed.
        url: Of the release file.
        sha256: Of the file; empty where no hash is known for certain, and the user must give one.
        twin: Name of the weakly denoising network for `denoise=`, pulled with it.
        max_bytes: The file is not longer; a download that is gets refused.
        scale: Output pixels per input pixel.
        made_for: The kind of pictures it is for.
    """

    name: str
    url: str
    sha256: str = ""
    twin: str = ""
    max_bytes: int = 100_000_000
    scale: int = 4
    made_for: str = ""


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
)
