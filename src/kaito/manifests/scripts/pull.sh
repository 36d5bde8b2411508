# Unpack /data of an image into TARGET_DIR. Tries without credentials first, then each file of
# AUTH_DIR, so that a public image needs none and several registries may each have their own.
set -eu
work=$(mktemp -d)
copied=no
for auth in '' "${AUTH_DIR:-/nonexistent}"/*.json; do
    [ -z "$auth" ] || [ -e "$auth" ] || continue
    if skopeo copy ${auth:+--src-authfile "$auth"} "docker://$IMAGE" "dir:$work/image"; then
        copied=yes
        break
    fi
    rm -rf "$work/image"
done
[ "$copied" = yes ] || { echo "cannot pull $IMAGE: no credentials fit; see the lines above" >&2; exit 1; }
mkdir -p "$work/root"
# `dir:` keeps every blob under its digest; those that are archives are the layers.
for blob in "$work"/image/*; do
    tar -xf "$blob" -C "$work/root" 2>/dev/null || true
done
[ -d "$work/root/data" ] || { echo "$IMAGE has no /data directory" >&2; exit 1; }
mkdir -p "$TARGET_DIR"
cp -R "$work/root/data/." "$TARGET_DIR/"
ls -l "$TARGET_DIR"
