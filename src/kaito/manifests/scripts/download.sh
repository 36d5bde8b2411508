# Fetch every URL of DATA_URLS into DATA_DIR. A file that is there and whole is kept, so a retry is cheap.
set -eu
for url in $DATA_URLS; do
    name=$(basename "$url" | sed 's/[?#].*//')
    file="$DATA_DIR/${name:-dataset}"
    [ -s "$file" ] && { echo "have $file"; continue; }
    echo "downloading $url"
    curl --fail --silent --show-error --location --proto '=http,https' --retry 3 --retry-connrefused \
        --output "$file.part" "$url"
    mv "$file.part" "$file"
done
ls -l "$DATA_DIR"
