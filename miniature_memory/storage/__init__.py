"""Storage: the append log, the catalog and its schema; the only room with SQL. Imports core."""
