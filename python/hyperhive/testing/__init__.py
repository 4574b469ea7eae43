"""What users need to test their own swarms: shipped with the library, used by its own tests."""
