"""Training data: picture sources, the stateless sampler, crops, and the batch loader."""
