"""Training data: picture sources, the stateless sampler, crops, and the batch loader."""

from realesrgan_train.data.batches import BatchDataset, TrainingBatch, batch_loader
from realesrgan_train.data.crops import multiscale_crop, paired_crop
from realesrgan_train.data.manifest import data_manifest
from realesrgan_train.data.opening import open_pairs, open_source
from realesrgan_train.data.pairs import PairedSource
from realesrgan_train.data.pictures import decode_picture, is_picture_name
from realesrgan_train.data.sampler import BatchPlan, plan_batch, random_stream
from realesrgan_train.data.sources import JoinedSource, PictureSource

__all__ = [
    "BatchDataset",
    "BatchPlan",
    "JoinedSource",
    "PairedSource",
    "PictureSource",
    "TrainingBatch",
    "batch_loader",
    "data_manifest",
    "decode_picture",
    "is_picture_name",
    "multiscale_crop",
    "open_pairs",
    "open_source",
    "paired_crop",
    "plan_batch",
    "random_stream",
]
