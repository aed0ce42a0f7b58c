//! Moves databases from Lite to Full and compares what arrives with what left.
