//! What happens at a bound of the tracker or of a swarm (S5): how full it is, and whose peer or count leaves.

