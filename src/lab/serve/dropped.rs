//! Datagrams that came faster than they were read: nobody has seen them but the system, which counts them for each socket.

use std::fs;

/// Where it tells of its UDP sockets.
const TABLES: [&str; 2] = ["/proc/self/net/udp", "/proc/self/net/udp6"];

/// Those that were meant for the sockets with these inodes.
pub(super) fn datagrams(inodes: &[u64]) -> u64 {
    let tables = TABLES
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok());
    tables.map(|table| of_table(&table, inodes)).sum()
}

fn of_table(table: &str, inodes: &[u64]) -> u64 {
    let sockets = table.lines().filter_map(|line| {
        let mut columns = line.split_ascii_whitespace();
        let inode: u64 = columns.nth(9)?.parse().ok()?;
        let dropped: u64 = columns.nth(2)?.parse().ok()?;
        inodes.contains(&inode).then_some(dropped)
    });
    sockets.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops
 1092: 0100007F:E5F2 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 41 2 0000000000000000 7
 1093: 0100007F:E5F3 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 42 2 0000000000000000 100
 1094: 0100007F:E5F4 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 43 2 0000000000000000 3
";

    #[test]
    fn each_socket_is_found_by_its_inode() {
        assert_eq!(of_table(TABLE, &[41, 43, 44]), 10);
        assert_eq!(of_table(TABLE, &[]), 0);
        assert_eq!(of_table("sl\n1: x\n", &[41]), 0);
    }
}
