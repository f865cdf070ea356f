#!/usr/bin/env bash
# Train the bundled weights from the ImageNet encoder to the file. Run it again to resume.
#
#   DATA=datasets FIGURES=node_modules ./train_bundled.sh
#
# DATA: folder with Static and DAVIS, see docs/training.md; generated clips are added to it (datasets/Synthetic/README.md).
# FIGURES: folder with the animated figures. RENDERED, CUTOUTS: numbers of generated clips; 0 leaves them out.
# TRAIN: more flags of voskit train, such as TRAIN="--amp --encoder_ckpt mobilenet_v2.pth". FILE: the file to write.
set -euo pipefail
cd "$(dirname "$0")"

DATA=${DATA:-datasets}
FIGURES=${FIGURES:-node_modules}
RENDERED=${RENDERED:-600}
CUTOUTS=${CUTOUTS:-1200}
EXP=${EXP:-bundled}
OUT=${OUT:-results}
FILE=${FILE:-$OUT/deaott_open.safetensors}
STAGES=${STAGES:-"open_small open_whole open_medium open_collage open_large bundled_identities bundled_video bundled_large"}
PYTHON=${PYTHON:-python}

if [ "$CUTOUTS" -gt 0 ]; then
    $PYTHON datasets/Synthetic/make_cutouts.py --figures "$FIGURES" --photographs "$DATA/Static" \
        --output "$DATA/Cutouts" --clips "$CUTOUTS" --seed 1
fi
if [ "$RENDERED" -gt 0 ]; then
    $PYTHON datasets/Synthetic/make_rendered.py --photographs "$DATA/Static" \
        --output "$DATA/Rendered" --clips "$RENDERED" --seed 1
fi

for stage in $STAGES; do
    weights=$($PYTHON tools/train.py --model deaott --stage "$stage" --exp_name "$EXP" --data_path "$DATA" \
        --output_path "$OUT" ${TRAIN:-} | sed -n 's/^results: //p')
done

$PYTHON tools/export.py --model deaott --ckpt_path "$weights" --output_path "$FILE" \
    --set long_term_gap=3 stray_distance=0.2 trained_positions=625 top_k=64 neighbors_apart=true min_short_edge=480
