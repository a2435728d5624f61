#!/bin/sh
# Makes the videos of this folder, red on the left and blue on the right, with ffmpeg (9.0 from PyPI's imageio-ffmpeg 0.8.1
# and Debian's 5.1 were used). They are small enough to be committed, and show nothing that anybody made.
set -eu
cd "$(dirname "$0")"
ffmpeg=${FFMPEG:-ffmpeg}

red_and_blue="color=red:s=80x96:r=10:d=1.2[l];color=blue:s=80x96:r=10:d=1.2[r];[l][r]hstack"
h264="-c:v libx264 -preset veryslow -g 6 -bf 2 -pix_fmt yuv420p"
plain="-fflags +bitexact -flags:v +bitexact -map_metadata -1"

make() {
    output=$1
    shift
    # shellcheck disable=SC2086 # options are words
    $ffmpeg -y -loglevel error -filter_complex "$red_and_blue$filter" "$@" $plain "$output"
}

filter=",scale=out_range=tv:out_color_matrix=bt601"
make plain.mp4 $h264
make fragmented.mp4 -f lavfi -i sine=r=8000:d=1.2 $h264 -c:a aac -b:a 8k -g 3 -movflags frag_keyframe+empty_moov
make sound.mov -f lavfi -i sine=r=8000:d=1.2 $h264 -c:a pcm_s16le
make plain.avi $h264 -bf 0
make h265.mp4 -c:v libx265 -x265-params log-level=error
make mpeg4.avi -c:v mpeg4
filter=",scale=out_range=pc:out_color_matrix=bt709"
make full.mp4 $h264 -color_range pc -colorspace bt709
$ffmpeg -y -loglevel error -display_rotation 270 -i plain.mp4 -c copy $plain turned.mp4

# Kinds of H.264 that are not supported, and a recording that begins at a frame that is not a key frame.
filter=",trim=end_frame=2,scale=out_range=tv:out_color_matrix=bt601"
make high10.mp4 -c:v libx264 -pix_fmt yuv420p10le
make 422.mp4 -c:v libx264 -pix_fmt yuv422p
make 444.mp4 -c:v libx264 -pix_fmt yuv444p
make interlaced.mp4 -c:v libx264 -flags +ildct+ilme -x264-params tff=1 -pix_fmt yuv420p
filter=",scale=out_range=tv:out_color_matrix=bt601"
make open.mp4 -c:v libx264 -g 6 -bf 2 -x264-params open-gop=1:scenecut=0:bframes=3:b-pyramid=normal -pix_fmt yuv420p
