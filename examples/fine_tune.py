"""Continue a published network on your own pictures, export it, and use it.

Usage: fine_tune.py PICTURES FOLDER [--steps N]. Needs PyTorch and the packages of `training` and
`tools/export`. The network is the small `realesr-animevideov3`, so that a CPU can train it; for
photographs, fine-tune `realesrgan-x4plus` on a GPU as `training/README.md` describes.
"""

import argparse
import subprocess
import sys
from pathlib import Path


def run(program: str, *arguments: object) -> None:
    """Run one of the project's programs of this Python; stop when it fails."""
    words = [str(argument) for argument in arguments]
    print("$", program, *words, flush=True)
    done = subprocess.run([str(Path(sys.executable).with_name(program)), *words], check=False)
    if done.returncode:
        sys.exit(f"{program} failed with exit code {done.returncode}")


def main() -> None:
    """Recover PyTorch weights, train, export, upscale; started again, training continues."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pictures", type=Path, help="a folder of large, sharp pictures")
    parser.add_argument("folder", type=Path, help="made; its models folder gets the network")
    parser.add_argument("--steps", type=int, default=2000)
    given = parser.parse_args()
    folder: Path = given.folder
    folder.mkdir(parents=True, exist_ok=True)

    start = folder / "start.safetensors"
    if not start.exists():
        run("realesrgan-export", "from-ncnn", "realesr-animevideov3", "-o", start)
    run(
        "realesrgan-train",
        "run",
        "tiny",  # for its mild degradation; its network is replaced by the published one
        "network={architecture: compact, num_feat: 64, num_conv: 16, act_type: prelu}",
        f"start.generator={start}",
        f"data.pictures=[{{kind: folder, path: {given.pictures}}}]",
        f"output={folder / 'runs'}",
        "name=fine-tuned",
        f"stages.net.steps={given.steps}",
        f"stages.net.optimizer.warmup={min(100, given.steps // 2)}",
        "stages.net.optimizer.lr=0.0001",
        "stages.gan=null",
    )
    weights = folder / "runs" / "fine-tuned" / "weights" / "net.safetensors"
    run("realesrgan-export", weights, "--output", folder / "models", "--name", "fine-tuned")

    first = next(path for path in sorted(given.pictures.rglob("*")) if path.is_file())
    model = folder / "models" / "fine-tuned.param"
    result = folder / "result.png"
    run("realesrgan-vk", "upscale", first, "-o", result, "-m", model, "--scale", "2")


if __name__ == "__main__":
    main()
