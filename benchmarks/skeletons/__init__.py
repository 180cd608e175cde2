"""Networks without their weights, and what fills them."""
