#include "formats/iq_grids.h"

namespace tessera {

#include "formats/iq_grids.inc"

}  // namespace tessera
