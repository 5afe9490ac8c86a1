"""What knows nothing of faces or networks: registries, files, names, errors."""
