"""What compiles the rules: numba, its disk cache, memory in huge pages and prefetching."""
