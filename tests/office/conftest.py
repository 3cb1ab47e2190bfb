from tests.rendering.conftest import node, price

__all__ = ["node", "price"]
