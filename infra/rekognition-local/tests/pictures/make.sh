#!/bin/sh
# Makes the pictures of this folder, red on the left and blue on the right, 160 x 90, with libjpeg-turbo's cjpeg (2.1 was
# used) and, for CMYK, Pillow (13). They are small enough to be committed, and show nothing that anybody made.
set -eu
cd "$(dirname "$0")"
ppm=$(mktemp)
trap 'rm -f "$ppm" "$ppm.scans"' EXIT
python3 - "$ppm" <<'PY'
import sys
row = bytes([250, 0, 0]) * 80 + bytes([0, 0, 250]) * 80
open(sys.argv[1], "wb").write(b"P6\n160 90\n255\n" + row * 90)
PY
make() {
    output=$1
    shift
    cjpeg -quality 80 "$@" -outfile "$output" "$ppm"
}
scans() {
    printf '%s\n' "$@" > "$ppm.scans"
}
make plain.jpg
make restart.jpg -restart 2B
make progressive.jpg -progressive
make progressive-restart.jpg -progressive -restart 1 -sample 2x1
make grey.jpg -grayscale
make rgb.jpg -rgb
scans '0;' '1;' '2;'
make apart-420.jpg -scans "$ppm.scans"
make apart-444.jpg -scans "$ppm.scans" -sample 1x1
make apart-mixed.jpg -scans "$ppm.scans" -sample 2x2,2x1,1x2 -restart 7B
scans '0;' '1 2;'
make apart-two.jpg -scans "$ppm.scans" -sample 2x1
# Some coefficients are never sent, which the standard allows.
scans '0 1 2: 0-0, 0, 0;' '0: 1-20, 0, 0;'
make sketch.jpg -scans "$ppm.scans"
for sampling in 1x2 4x1 1x4 4x2 3x1; do
    make "sampling-$sampling.jpg" -sample "$sampling"
done
cjpeg -quality 80 -arithmetic -outfile arithmetic.jpg "$ppm"
python3 - "$ppm" <<'PY'
import sys
from PIL import Image
picture = Image.open(sys.argv[1])
cmyk = Image.merge("CMYK", [*(channel.point(lambda value: 255 - value) for channel in picture.split()), Image.new("L", picture.size)])
cmyk.save("cmyk.jpg", quality=90)
PY
