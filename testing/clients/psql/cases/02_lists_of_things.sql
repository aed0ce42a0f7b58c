\dt
\dv
\ds
\di
\dt+ no_such
\dt no_such*
\dC no_such
\pset format unaligned
\pset tuples_only on
\df left
\dT uuid
\db no_such
\dD
\dx no_such
\dew
\dy
\dF no_such
\dp no_such
\dRp
\do no_such
\da no_such
\dE
\dO no_such
