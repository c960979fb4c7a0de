"""The model: a deep deconvolutional generative model of images with stochastic unpooling, its
convolutional recognition model, and label models on the code. Pure PyTorch; tensors in, tensors out."""
