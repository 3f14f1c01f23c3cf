// The places of a tile's steps: for each result kernel rows, kernel columns, planes (innermost). It goes on when it is told to, and
// `at` is good a clock later than the rest.
module walk (
  input  logic clk,
  /* verilator lint_off UNUSEDSIGNAL */
  input  tile_pkg::tile_t tile,
  /* verilator lint_on UNUSEDSIGNAL */
  input  logic start, next,
  output logic fresh,                    // the first step of a result
  output logic pixel_end, x_end, y_end,  // the last one; of a row; of the last row
  output logic hits,
  output logic [15:0] at,                // in the activations, where the step hits the tile's input
  output logic [15:0] weight, sums
);
  logic [11:0] planes_left, y_left, x_left;
  logic [7:0] ky_left, kx_left;
  logic signed [15:0] y_row, y, x_pixel, x;
  logic [15:0] plane;
  wire plane_end = planes_left == 1, kx_end = kx_left == 1, ky_end = ky_left == 1;
  assign pixel_end = plane_end & kx_end & ky_end;
  assign x_end = x_left == 1;
  assign y_end = y_left == 1;
  wire signed [15:0] row_after = y_row + $signed({8'b0, tile.stride_y});
  wire signed [15:0] pixel_after = x_pixel + $signed({8'b0, tile.stride_x});

  always_ff @(posedge clk) begin
    if (start || next) begin
      fresh <= start || pixel_end;
      weight <= start || pixel_end ? tile.w_base : weight + 1;
      plane <= start || plane_end ? tile.x_base : plane + tile.x_plane_pitch;
      planes_left <= start || plane_end ? tile.planes[11:0] : planes_left - 1;
      if (start || plane_end) kx_left <= start || kx_end ? tile.kernel_x : kx_left - 1;
      if (start || plane_end && kx_end) ky_left <= start || ky_end ? tile.kernel_y : ky_left - 1;
      if (start || pixel_end) begin
        sums <= start ? tile.sums_base : sums + 1;
        x_left <= start || x_end ? tile.y_cols[11:0] : x_left - 1;
        x_pixel <= start || x_end ? tile.origin_x : pixel_after;
      end
      if (start || pixel_end && x_end) begin
        y_left <= start ? tile.y_rows[11:0] : y_left - 1;
        y_row <= start ? tile.origin_y : row_after;
      end
      if (start || pixel_end && x_end) x <= tile.origin_x;
      else if (pixel_end) x <= pixel_after;
      else if (plane_end) x <= kx_end ? x_pixel : x + $signed({8'b0, tile.pitch_x});
      if (start) y <= tile.origin_y;
      else if (pixel_end) y <= x_end ? row_after : y_row;
      else if (plane_end && kx_end) y <= y + $signed({8'b0, tile.pitch_y});
    end
  end

  /* verilator lint_off UNUSEDSIGNAL */
  logic [31:0] row;
  /* verilator lint_on UNUSEDSIGNAL */
  products u_row (.clk, .a(y), .b(tile.x_row_pitch), .p(row));
  assign at = plane + row[15:0] + x;
  assign hits = !y[15] && y[14:0] < tile.x_rows[14:0] && !x[15] && x[14:0] < tile.x_cols[14:0];
endmodule
