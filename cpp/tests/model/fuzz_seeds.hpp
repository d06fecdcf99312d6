#pragma once

#include <string>
#include <vector>

// Small networks, one for each group of ncnn's layers, as .param texts. Weights that fit are made
// from the text.
namespace fuzz {

inline std::vector<std::string> seeds() {
    return {
        // SRVGGNetCompact: the stream's PReLU, shuffle and nearest skip.
        "7767517\n8 9\nInput in 0 1 data\nSplit s 1 2 data a b\n"
        "Convolution c1 1 1 a f 0=16 1=3 4=1 5=1 6=432\nPReLU p 1 1 f g 0=16\n"
        "Convolution c2 1 1 g h 0=12 1=3 4=1 5=1 6=1728\nPixelShuffle d 1 1 h i 0=2\n"
        "Interp n 1 1 b j 0=1 1=2.000000e+00 2=2.000000e+00\nBinaryOp add 2 1 i j output 0=0\n",
        // RRDBNet as onnx2ncnn writes it.
        "7767517\n13 17\nInput data 0 1 data\n"
        "Convolution c0 1 1 data x 0=8 1=3 4=1 5=1 6=216\nSplit s0 1 4 x x0 x1 x2 x3\n"
        "Convolution c1 1 1 x0 g 0=4 1=3 4=1 5=1 6=288 9=2 -23310=1,2.000000e-01\n"
        "Split s1 1 2 g g0 g1\nConcat k1 2 1 x1 g0 k1 0=0\n"
        "Convolution c2 1 1 k1 h 0=4 1=3 4=1 5=1 6=432 9=2 -23310=1,2.000000e-01\n"
        "Concat k2 3 1 x2 g1 h k2 0=0\nConvolution c3 1 1 k2 t 0=8 1=3 4=1 5=1 6=1152\n"
        "Eltwise e 2 1 t x3 r 0=1 -23301=2,2.000000e-01,1.000000e+00\n"
        "Interp u 1 1 r u 0=1 1=2.000000e+00 2=2.000000e+00\n"
        "Convolution c4 1 1 u v 0=8 1=3 4=1 5=1 6=576 9=2 -23310=1,2.000000e-01\n"
        "Convolution c5 1 1 v out 0=3 1=3 4=1 5=1 6=216\n",
        // RRDBNet for a factor of 2 as pnnx writes it.
        "7767517\n10 11\nInput in0 0 1 in0\nReorg u 1 1 in0 a 0=2 1=0\n"
        "Convolution c 1 1 a b 0=16 1=3 11=3 2=1 12=1 3=1 13=1 4=1 14=1 15=1 16=1 5=1 6=1728\n"
        "Split s 1 2 b b0 b1\nConvolution d 1 1 b0 e 0=16 1=3 4=1 5=1 6=2304 9=1\n"
        "BinaryOp m 1 1 e f 0=2 1=1 2=2.000000e-01\nBinaryOp p 2 1 f b1 g 0=0\n"
        "Convolution h 1 1 g i 0=48 1=3 4=1 5=1 6=6912\nPixelShuffle j 1 1 i k 0=4 1=0\n"
        "Interp z 1 1 k out0 0=3 1=1.000000e+00 2=1.000000e+00\n",
        // SPAN's transform of the picture, SiLU and gate.
        "7767517\n13 15\nInput data 0 1 data\nMemoryData m 0 1 mean 0=1 1=1 2=3\n"
        "BinaryOp b 2 1 data mean a 0=1\nBinaryOp r 1 1 a c 0=2 1=1 2=2.550000e+02\n"
        "Convolution c0 1 1 c x 0=8 1=3 4=1 5=1 6=216\nSwish w 1 1 x y\nSplit s 1 2 y y0 y1\n"
        "Convolution c1 1 1 y0 z 0=8 1=3 4=1 5=1 6=576\nSplit t 1 2 z z0 z1\n"
        "Sigmoid g 1 1 z1 h\nBinaryOp o 1 1 h i 0=1 1=1 2=5.000000e-01\n"
        "BinaryOp p 2 1 z0 y1 q 0=0\nBinaryOp u 2 1 q i out 0=2\n",
        // A block of MoSR: a norm of each pixel's channels, slices, a depthwise convolution, a
        // product.
        "7767517\n15 18\nInput data 0 1 data\nConvolution c0 1 1 data x 0=8 1=3 4=1 5=1 6=216\n"
        "Split s 1 2 x x0 x1\nPermute p 1 1 x0 p 0=3\nLayerNorm n 1 1 p n 0=8 1=1.0e-06 2=1\n"
        "Permute q 1 1 n q 0=4\nConvolution c1 1 1 q y 0=24 1=3 4=1 5=1 6=1728\n"
        "Slice t 1 3 y g i d -23300=3,12,4,8 1=0\n"
        "ConvolutionDepthWise w 1 1 d e 0=8 1=7 4=3 5=1 6=392 7=8\nMish m 1 1 g h\n"
        "Concat k 2 1 i e u 0=0\nBinaryOp o 2 1 h u v 0=2\n"
        "Convolution c2 1 1 v z 0=8 1=3 4=1 5=1 6=864 9=5\nBinaryOp h 1 1 x1 r 0=1 1=1 2=5.0e-01\n"
        "BinaryOp a 2 1 z r out 0=0\n",
        // Convolutions, pooling and a gate.
        "7767517\n17 19\nInput data 0 1 data\nPadding pd 1 1 data pd 0=1 1=1 2=1 3=1 4=2\n"
        "ConvolutionDepthWise dw 1 1 pd dw 0=3 1=3 5=1 6=27 7=3\n"
        "Convolution c0 1 1 dw c0 0=12 1=1 5=1 6=36\nBatchNorm bn 1 1 c0 bn 0=12 1=1.0e-05\n"
        "Swish sw 1 1 bn sw\nSlice sl 1 2 sw s0 s1 -23300=2,4,-233\nConcat k 2 1 s0 s1 k\n"
        "Split sp 1 2 k k0 k1\nPooling gp 1 1 k0 gp 0=1 4=1\n"
        "InnerProduct ip 1 1 gp ip 0=12 1=1 2=144 9=4\nBinaryOp mm 2 1 k1 ip mm 0=2\n"
        "Convolution st 1 1 mm st 0=8 1=3 3=2 4=1 5=1 6=864\n"
        "Pooling mp 1 1 st mp 0=0 1=3 2=1 3=1 5=1\nHardSwish hs 1 1 mp hs\n"
        "Deconvolution dc 1 1 hs dc 0=8 1=4 3=2 4=1 5=1 6=1024\n"
        "DeconvolutionDepthWise dd 1 1 dc out 0=8 1=4 3=2 4=1 5=1 6=128 7=8\n",
        // Networks whose results lack a border, as waifu2x' and Real-CUGAN's.
        "7767517\n4 4\nInput data 0 1 data\nConvolution c0 1 1 data x 0=8 1=3 5=1 6=216 9=2 "
        "-23310=1,1.000000e-01\nConvolution c1 1 1 x y 0=8 1=3 5=1 6=576\n"
        "Deconvolution d 1 1 y out 0=3 1=4 3=2 4=3 5=1 6=384\n",
        "7767517\n13 17\nInput data 0 1 data\nConvolution c0 1 1 data x 0=8 1=3 5=1 6=216\n"
        "Split s 1 3 x x0 x1 x2\nConvolution c1 1 1 x0 y 0=8 1=2 3=2 5=1 6=256\n"
        "Convolution c2 1 1 y z 0=8 1=3 5=1 6=576\n"
        "Deconvolution d0 1 1 z u 0=8 1=2 3=2 5=1 6=256\nSplit s1 1 3 u u0 u1 u2\n"
        "Crop k0 2 1 x1 u0 v 0=2 1=2\nCrop k1 1 1 x2 w -23309=2,2,2 -23310=2,-2,-2 "
        "-23311=2,-2,-1\nEltwise e0 2 1 v u1 a 0=1\nBinaryOp b0 2 1 w u2 b 0=0\n"
        "Concat k 2 1 a b c\nDeconvolution d1 1 1 c out0 0=3 1=4 3=2 4=3 5=1 6=768\n",
        // Attention, over 8x8 means as the time grows with the square of the area.
        "7767517\n18 20\nInput data 0 1 data\nConvolution c 1 1 data x 0=8 1=3 4=1 5=1 6=216\n"
        "Split s 1 2 x x1 x2\nPooling mean 1 1 x1 a 0=1 7=1 8=8 18=8\nSplit u 1 2 a a1 a2\n"
        "Reshape r 1 1 a1 y 0=-1 1=8\nPermute p 1 1 y z 0=1\nLayerNorm n 1 1 z l 0=8 1=1.0e-05\n"
        "MultiHeadAttention mh 1 1 l m 0=8 1=2 2=64\nGELU g 1 1 m h\n"
        "Gemm ge 1 1 h i 2=0 3=1 4=0 5=1 6=1 8=8 9=8 10=4\nRMSNorm rn 1 1 i i2 0=8 1=1.0e-05\n"
        "Permute q 1 1 i2 j 0=1\nSoftmax so 1 1 j j2 0=0 1=1\n"
        "Reshape t 2 1 j2 a2 k 6=\"1w,1h,8\"\nPooling all 1 1 k kv 0=1 4=1\n"
        "BinaryOp mu 2 1 x2 kv mu 0=2\nConvolution d 1 1 mu out 0=3 1=1 5=1 6=24\n",
        "7767517\n12 17\nInput data 0 1 data\nConvolution c 1 1 data x 0=6 1=3 4=1 5=1 6=162\n"
        "Slice sl 1 3 x q k v -23300=3,-233,-233,-233\nSplit a 1 2 q q0 q1\nSplit b 1 2 k k0 k1\n"
        "Split e 1 2 v v0 v1\nSDPA sd 3 1 q0 k0 v0 sd\nMatMul mm 2 1 q1 k1 mm 0=1\n"
        "Softmax so 1 1 mm so 0=2 1=1\nMatMul mv 2 1 so v1 mv\nEltwise el 2 1 sd mv el 0=2\n"
        "Convolution d 1 1 el out 0=3 1=3 4=1 5=1 6=54\n",
        // Changes of shape.
        "7767517\n19 21\nInput data 0 1 data\nSplit ds 1 2 data da db\n"
        "Padding pd 1 1 da pd 0=2 1=2 2=2 3=2 4=1\n"
        "Crop cr 1 1 pd cr -23309=2,2,2 -23310=2,-2,-2 -23311=2,1,2\n"
        "Convolution c 1 1 cr x 0=8 1=3 4=1 5=1 6=216\nShuffleChannel sh 1 1 x sh 0=2\n"
        "GroupNorm gn 1 1 sh gn 0=2 1=8 2=1.0e-05\nInstanceNorm in 1 1 gn in 0=8 1=1.0e-05\n"
        "Scale sc 1 1 in sc 0=8 1=1\nUnfold un 1 1 sc un 1=1 3=1 4=0\nTile ti 1 1 un ti 0=0 1=1\n"
        "ExpandDims ex 1 1 ti ex -23303=1,0\nSqueeze sq 1 1 ex sq -23303=1,0\n"
        "Reshape rs 2 1 sq db rs 6=\"1w,1h,8\"\nSplit sp 1 2 rs s0 s1\n"
        "Reduction rd 1 1 s0 rd 0=3 1=0 -23303=1,1 4=1 5=1\nBinaryOp su 2 1 s1 rd su 0=1\n"
        "GLU gl 1 1 su gl 0=0\nFlip fl 1 1 gl out -23300=1,-1\n",
        "7767517\n15 16\nInput data 0 1 data\nInterp up 1 1 data up 0=2 1=2.0 2=2.0\n"
        "Convolution c 1 1 up x 0=4 1=3 4=1 5=1 6=108\nNormalize no 1 1 x no 0=0 1=1 3=1 4=1\n"
        "MVN mv 1 1 no mv 0=1 1=0 2=1.0e-04\nClip cl 1 1 mv cl 0=-2.0 1=2.0\n"
        "Bias bi 1 1 cl bi 0=4\nPower po 1 1 bi po 0=1.0 1=0.5 2=0.1\nUnaryOp uo 1 1 po uo 0=0\n"
        "ELU el 1 1 uo el 0=0.1\nHardSigmoid hs 1 1 el hs\nSplit sp 1 2 hs h0 h1\n"
        "Crop cr 2 1 h0 h1 cr\nDropout dr 1 1 cr dr\nConvolution d 1 1 dr out 0=3 1=3 4=1 5=1 "
        "6=108\n",
        "7767517\n6 6\nInput data 0 1 data\nMemoryData md 0 1 md 0=1 1=1 2=3\n"
        "BinaryOp mu 2 1 data md mu 0=2\nConvolution c 1 1 mu x 0=2 1=3 4=1 5=1 6=54\n"
        "Pooling ap 1 1 x ap 0=1 7=1 8=-233\nTanH th 1 1 ap out\n",
    };
}

}  // namespace fuzz
