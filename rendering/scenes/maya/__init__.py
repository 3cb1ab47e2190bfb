"""Maya scenes, `.ma` (ASCII) and `.mb` (IFF, 32 and 64 bit), read without Maya. Nothing in them is executed."""
