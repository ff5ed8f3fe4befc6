module edgepdm

go 1.26
