"""Simulated payment channels for the embedded profile and the tests. They behave as the vendors document, with real
signatures.
"""
