//! HeliosDB Full, the distribution that dumps of Lite are imported into.
