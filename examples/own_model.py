"""Use an ncnn network of your own by its file. Usage: own_model.py NAME.param IN OUT.

`NAME.bin` lies beside it. `realesrgan-vk models add NAME.param` would install it, so that it can be
asked for by its name.
"""

import argparse

import realesrgan_vk


def main() -> None:
    """Load it, print what it is and what a run takes, and run it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("param")
    parser.add_argument("picture")
    parser.add_argument("result")
    given = parser.parse_args()
    try:
        upscaler = realesrgan_vk.Upscaler(given.param)
    except realesrgan_vk.ModelError as error:
        parser.exit(1, f"{error}\n")
    network = upscaler.network
    print(f"x{network.scale}, sees {network.receptive_field} pixels to each side")
    plan = upscaler.plan(given.picture)
    print(f"runs as {plan.path} ({plan.reason}), {plan.memory_bytes['total'] / 2**20:.0f} MiB")
    upscaler.upscale(given.picture).save(given.result)


if __name__ == "__main__":
    main()
