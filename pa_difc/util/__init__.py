"""General utilities that know nothing of faces or networks: registries, files, names, errors."""
