#!/usr/bin/env bash
# Train both stages of a model, evaluate and score it, and pack the submissions. Run it again to resume.
#
#   MODEL=r50_deaotl GPUS=4 ./train_eval.sh
#
# TRAIN, EVAL: more flags, such as TRAIN="--set batch_size=8". DATASETS: name:split:folder, separated by spaces.
set -euo pipefail
cd "$(dirname "$0")"

MODEL=${MODEL:-aott}
EXP=${EXP:-default}
GPUS=${GPUS:-1}
DATA=${DATA:-datasets}
OUT=${OUT:-results}
STAGES=${STAGES:-"pre pre_ytb_dav"}
DATASETS=${DATASETS:-"youtubevos2019:val:$DATA/YouTubeVOS davis2017:val:$DATA/DAVIS"}
PYTHON=${PYTHON:-python}

for stage in $STAGES; do
    weights=$($PYTHON tools/train.py --model "$MODEL" --stage "$stage" --exp_name "$EXP" --gpu_num "$GPUS" \
        --data_path "$DATA" --output_path "$OUT" ${TRAIN:-} | sed -n 's/^results: //p')
    folder_name=$(basename "$(dirname "$weights")")
done

for entry in $DATASETS; do
    IFS=: read -r dataset split folder <<<"$entry"
    $PYTHON tools/eval.py --model "$MODEL" --ckpt_path "$weights" --exp_name "$EXP" --stage "$folder_name" \
        --dataset "$dataset" --split "$split" --data_root "$folder" --gpu_num "$GPUS" \
        --output_path "$(dirname "$weights")/eval_${dataset}_${split}" ${EVAL:-}
done
