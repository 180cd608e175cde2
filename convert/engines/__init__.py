"""What building an engine needs: options, profiles, caches, receipts, refusals."""
