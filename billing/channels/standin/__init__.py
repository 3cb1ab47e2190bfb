"""Payment channels that are none: they behave as the vendors document, with real signatures, for the embedded profile
and the tests."""
