"""The words that mean real, fake, a split or nothing in names, in lower case: data only."""

SPLITS = ("train", "val", "test")
CLASSES = ("real", "fake")  # a label is an index into this
CLASS_WORDS = (
    "real reals original originals authentic genuine pristine",
    "fake fakes deepfake deepfakes manipulated synthetic synthesized synthesised forged tampered",
)
SPLIT_WORDS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
# Folders that tell nothing, perhaps with a size: frames_224, faces-256x256
SIZE = r"(?:[_-](?:\d{2,4}x)?[1-9]\d{2,3})?"
LEVEL = rf"(?:videos?|clips?|(?:frames?|images?|imgs?|faces?|crops?){SIZE})"
# Folders whose files are no videos of a set
SKIPPED = (
    r"(?:\w+[_-])?(?:masks?|landmarks?)(?:[_-]\w+)?|"
    r"b?box(?:es)?|depths?|thumb(?:nail)?s?|"
    r"downloaded_videos\w*|source_videos"
)
COMPRESSIONS = ("raw", "c0", "c23", "c40")  # of FaceForensics++
# What a compression or a quality adds to a name
QUALITIES = (
    rf"{'|'.join(COMPRESSIONS)}|[hl]q|u?hd|sd|4k|\d{{3,4}}p|"
    r"crf\d+|compressed|lossless"
)
# What a copier adds: "Copy of 253", "253 - copy", "253 (1)"
COPY_BEFORE = r"(?:copy of|kopie von|copie de|copia de|cópia de)\s+"
COPY_BEHIND = r"(?:[\s_-]+(?:copy|kopie|copie|copia|cópia))?(?:\s*\(\d+\))?"
PIECES = "parts? pieces? clips? takes? scenes? shots? seg segments? chunks?"  # anna_clip1
# Words that name no person before a number: IMG_0001, video_1, 2024_01, 20240131_01
UNNAMED = (
    r"(?:19|20)\d\d(?:\d{4})? img dscn? dscf? mvi mov vid pxl mvimg gopr "
    "videos? images? photos? frames? faces? file no"
)

VIDEO_ENDINGS = (
    "mp4 avi mov mkv webm m4v mpg mpeg wmv asf "
    "flv f4v 3gp gif ts mts m2ts vob ogv mxf "
    "h264 264 hevc 265 divx dv m2v y4m rm rmvb"
)
IMAGE_ENDINGS = "png jpg jpeg jpe jfif bmp webp tif tiff ppm pgm jp2 avif heic heif"
VIDEO_SUFFIXES = tuple(f".{ending}" for ending in VIDEO_ENDINGS.split())
IMAGE_SUFFIXES = tuple(f".{ending}" for ending in IMAGE_ENDINGS.split())
LISTS = (".csv", ".json", ".md", ".txt")  # lists and descriptions: no videos that could be missed
LABEL_FILES = ("metadata.json", "labels.csv")  # of DFDC
