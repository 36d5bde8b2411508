# Pack the tuned adapter as an image whose /data holds it, and push it. One layer, so that any
# container runtime, oras and skopeo can read it.
set -eu
work=$(mktemp -d)
mkdir "$work/data"
cp "$RESULTS_DIR/adapter_config.json" "$RESULTS_DIR/adapter_model.safetensors" "$work/data/"
tar -C "$work" -cf "$work/layer.tar" data
diff_id=$(sha256sum "$work/layer.tar" | cut -d ' ' -f 1)
gzip "$work/layer.tar"
printf '{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' \
    "$diff_id" >"$work/config.json"
cd "$work"
oras push --annotation "sh.kaito.model.name=$MODEL_NAME" \
    --config config.json:application/vnd.oci.image.config.v1+json \
    "$IMAGE" layer.tar.gz:application/vnd.oci.image.layer.v1.tar+gzip
