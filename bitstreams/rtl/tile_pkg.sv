// What the units of the engine tell each other: the words of a descriptor, by name. README.md has the layout.
package tile_pkg;
  localparam logic [31:0] ID = 32'h4543_4d54;  // "TMCE"
  localparam logic [31:0] ABI = 32'h0001_0000;  // major, minor

  localparam logic [7:0] OP_CONV = 8'd1, OP_QUAD = 8'd2, OP_DEPTHWISE = 8'd3, OP_MAX = 8'd4, OP_ADD = 8'd5, OP_STAMP = 8'd6;

  localparam logic [7:0] ERR_NONE = 8'd0, ERR_OPCODE = 8'd1, ERR_CHECKSUM = 8'd2, ERR_RESERVED = 8'd3,
    ERR_EXTENT = 8'd4, ERR_SLOT = 8'd5, ERR_FEATURE = 8'd6, ERR_ACTIVATIONS = 8'd7, ERR_WEIGHTS = 8'd8,
    ERR_SUMS = 8'd9, ERR_ALIGNMENT = 8'd10, ERR_STOPPED = 8'd11;

  // Extents of a tile are below this, so that coordinates fit 14 signed bits.
  localparam int MAX_EXTENT = 4096;
  // Slots for parameters, and for tables.
  localparam int PARAM_SLOTS = 4, TABLE_SLOTS = 2;

  // What must not change while results are on their way through the pipeline.
  typedef struct packed {
    logic [7:0] op;
    logic x_unsigned, y_unsigned, table_on, table_slot;
    logic [7:0] pad, zero, lo, hi;
    logic [31:0] scale;  // of the first operand of an addition
  } layer_t;

  typedef struct packed {
    layer_t layer;
    logic first, last;
    logic [1:0] slot;
    logic [15:0] x_rows, x_cols, x_row_pitch, x_plane_pitch, x_base;
    logic [15:0] w_base, sums_base;
    logic [15:0] planes;
    logic [7:0] kernel_y, kernel_x, stride_y, stride_x, pitch_y, pitch_x;
    logic [15:0] origin_y, origin_x;
    logic [15:0] y_rows, y_cols;
    logic [31:0] y_addr, y_pitch;
  } tile_t;

  // What belongs to one pixel on its way.
  typedef struct packed {
    logic first, last, end_of_tile;
    logic [1:0] slot;
    logic [15:0] sums;
  } tag_t;
  localparam int TAG_BITS = 21;
endpackage
